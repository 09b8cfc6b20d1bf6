//! Deployment as an operator does it, on a machine of its own: Debian's packages, a real systemd, a
//! user with sudo, and a checkout in their home.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "deploy/attack.rs"]
mod attack;
#[path = "deploy/machine.rs"]
mod machine;

use std::{path::Path, process::Command};

use claude_distill_relay::config::{self, KNOBS};
use relay_testing::{
    program::built,
    skip::{find, is_too_long, skip},
};

use self::machine::{Machine, source, until};

/// The deployment, with a program that is built already.
const DEPLOY: &str =
    "./deploy/deploy-oneclick.local.sh example.com --binary /opt/claude-distill-relay";
const NGINX: &str = "./deploy/setup-nginx-relay.sh";
const SHARE: &str = "python3 /opt/share.py ws://relay.example.com/";
const MAIN_PID: &str = "systemctl show --value -p MainPID claude-distill-relay";

/// A compiler that copies what is built already; each time it makes another program of it.
const BUILD_FAKED: &str = r#"
    sudo tee /usr/local/bin/cargo /usr/local/bin/cc /usr/local/bin/make >/tmp/cargo <<'END'
#!/bin/sh
set -e
if [ -e /tmp/cargo-fails ]; then echo 'error: no such crate'; exit 101; fi
mkdir -p target/release
(cat /opt/claude-distill-relay; date +%N) >target/release/claude-distill-relay
chmod +x target/release/claude-distill-relay
END
    sudo chmod +x /usr/local/bin/cargo /usr/local/bin/cc /usr/local/bin/make
"#;

/// Boots a machine, or ends a test that cannot have one here.
macro_rules! machine {
    () => {
        match Machine::boot() {
            Some(machine) => machine,
            None => return,
        }
    };
}

/// What was said of a step.
fn step<'a>(output: &'a str, name: &str) -> &'a str {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name:<9} ")));
    line.unwrap_or_else(|| panic!("no step {name} in:\n{output}"))
}

#[test]
fn one_command_makes_a_relay_of_a_machine() {
    let machine = machine!();
    let bare = machine.fingerprint();
    let dry = machine.ok(&format!("{DEPLOY} --dry-run"));
    assert!(step(&dry, "program").starts_with("would"), "{dry}");
    assert_eq!(machine.fingerprint(), bare, "a dry run changed something");

    let first = machine.ok(DEPLOY);
    assert_eq!(step(&first, "service"), "restarted: it did not run");
    machine.ok(SHARE);
    assert_eq!(machine.ok("stat -c '%a %U' .env.relay"), "600 op\n");

    let (deployed, pid) = (machine.fingerprint(), machine.ok(MAIN_PID));
    let second = machine.ok(DEPLOY);
    for name in ["settings", "program", "units", "site"] {
        assert!(step(&second, name).starts_with("unchanged"), "{second}");
    }
    assert!(
        step(&second, "service").starts_with("not restarted"),
        "{second}"
    );
    assert_eq!(
        machine.fingerprint(),
        deployed,
        "a second run changed something"
    );
    assert_eq!(machine.ok(MAIN_PID), pid);

    // A setting that was changed since is read by the relay that runs, once, where it can be.
    let log = "sudo journalctl -u claude-distill-relay -o cat";
    let change = |name: &str, value: &str| {
        machine.ok(&format!("sed -i s/^{name}=.*/{name}={value}/ .env.relay"));
        machine.ok("./deploy/deploy-oneclick.local.sh --settings")
    };
    let third = change("RELAY_MAX_ROOMS", "7");
    assert_eq!(step(&third, "service"), "reloaded: relay.env is new");
    until("the new settings", || {
        machine
            .ok(log)
            .contains("read again: RELAY_MAX_ROOMS 1000 -> 7")
            .then_some(())
    });
    assert_eq!(machine.ok(MAIN_PID), pid);
    let fourth = change("RELAY_WORKERS", "2");
    assert_eq!(step(&fourth, "service"), "restarted: relay.env is new");
    assert_ne!(machine.ok(MAIN_PID), pid);

    // One that was reloaded by hand has read what is there.
    let pid = machine.ok(MAIN_PID);
    machine.ok(
        "sleep 1; sudo touch /etc/claude-distill-relay/relay.env; sleep 1
        sudo systemctl reload claude-distill-relay",
    );
    let fifth = machine.ok(DEPLOY);
    assert!(
        step(&fifth, "service").starts_with("not restarted"),
        "{fifth}"
    );
    assert_eq!(machine.ok(MAIN_PID), pid);
}

#[test]
fn the_script_knows_which_settings_take_a_restart() {
    let script = std::fs::read_to_string(source("deploy/deploy-oneclick.local.sh")).unwrap();
    let (_, list) = script.split_once("\nneeds_restart=(").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    let knobs = KNOBS.iter().filter(|knob| knob.needs_restart);
    let names: Vec<_> = knobs.map(|knob| knob.variable).collect();
    assert_eq!(list.split_whitespace().collect::<Vec<_>>(), names);
}

#[test]
fn the_service_lives_and_dies_as_systemd_expects() {
    let machine = machine!();
    machine.ok(DEPLOY);
    let state = |property: &str| {
        let show = format!("systemctl show --value -p {property} claude-distill-relay");
        machine.ok(&show).trim().to_owned()
    };
    machine.ok("sudo systemctl restart claude-distill-relay");
    machine.ok(SHARE);

    // Its lines have their priority from systemd's journal, and no mark of it left in them.
    let journal =
        machine.ok("sudo journalctl -u claude-distill-relay -o json -g '^listening on' -n 1");
    assert!(journal.contains(r#""PRIORITY":"6""#), "{journal}");
    assert!(journal.contains(r#""MESSAGE":"listening on"#), "{journal}");

    // One that hangs is found out, and started again.
    machine.ok(
        "sudo mkdir -p /run/systemd/system/claude-distill-relay.service.d
        printf '[Service]\\nWatchdogSec=1\\n' |
            sudo tee /run/systemd/system/claude-distill-relay.service.d/test.conf
        sudo systemctl daemon-reload
        sudo systemctl restart claude-distill-relay",
    );
    let hung = state("MainPID");
    machine.ok("sudo systemctl kill -s STOP claude-distill-relay");
    until("a restart by the watchdog", || {
        (state("NRestarts") == "1" && state("SubState") == "running").then_some(())
    });
    assert_ne!(state("MainPID"), hung);
    until("the metrics of the next process", || {
        let metrics = machine.run("curl -sS http://127.0.0.1:9784/metrics").output;
        (metrics.contains("relay_process_ends_total{result=\"watchdog\"} 1\n")
            && metrics.contains("\nprocess_open_fds "))
        .then_some(())
    });
    assert!(
        machine
            .ok("sudo journalctl -u claude-distill-relay -o cat")
            .contains("Watchdog timeout")
    );
    machine.ok(SHARE);

    machine.ok("sudo systemctl stop claude-distill-relay");
    assert_eq!(state("Result"), "success");
    assert_eq!(state("ExecMainStatus"), "0");
}

#[test]
fn the_units_are_tight_and_well_formed() {
    let machine = machine!();
    machine.ok(DEPLOY);
    machine.ok(
        "systemd-analyze security --offline=true --threshold=15 claude-distill-relay.service --no-pager",
    );
    for (unit, most) in [
        ("healthcheck", 19),
        ("healthcheck@failed", 19),
        ("healthcheck-alert@failed", 21),
    ] {
        machine.ok(&format!(
            "systemd-analyze security --offline=true --threshold={most} --no-pager \
                claude-distill-relay-{unit}.service"
        ));
    }
    let verified = machine.ok("systemd-analyze verify /etc/systemd/system/claude-distill-relay*");
    assert_eq!(verified, "");
    // Its events have a place in the sandbox, and are nobody's else.
    let events = "/var/log/claude-distill-relay-events";
    machine.ok(&format!(
        "sed -i 's|^RELAY_LOG_DIR=.*|RELAY_LOG_DIR={events}|' .env.relay
        ./deploy/deploy-oneclick.local.sh --settings
        {SHARE}"
    ));
    until("the events of a share", || {
        let lines = machine.run(&format!("sudo cat {events}/relay-events.jsonl"));
        lines
            .output
            .contains(r#""event":"room_closed""#)
            .then_some(())
    });
    until("the counts of the day", || {
        let counts = machine.run(&format!("sudo cat {events}/daily-stats.json"));
        counts.output.contains(r#""room_created":1"#).then_some(())
    });
    assert_ne!(
        machine
            .run(&format!("cat {events}/relay-events.jsonl"))
            .status,
        0
    );
    // The operator's socket is there, and a decision outlives a restart.
    machine.ok("sudo claude-distill-relay status");
    machine.ok("sudo claude-distill-relay block 192.0.2.7
        sudo systemctl restart claude-distill-relay
        sudo claude-distill-relay unblock 192.0.2.7
        test $(sudo stat -c %a /run/claude-distill-relay/admin.sock) = 660");
    let stranger = machine.run("claude-distill-relay status");
    assert!(stranger.output.contains("sudo"), "{stranger:?}");
    // A group of operators has it where a drop-in names them, from one process to the next.
    machine.ok("sudo groupadd --system operators
        sudo usermod --append --groups operators op
        sudo mkdir -p /etc/systemd/system/claude-distill-relay.service.d
        printf '[Service]\\nGroup=operators\\n' |
            sudo tee /etc/systemd/system/claude-distill-relay.service.d/operators.conf
        sudo systemctl daemon-reload
        sudo systemctl restart claude-distill-relay");
    for _ in 0..2 {
        machine.ok("claude-distill-relay status");
        machine.ok("sudo systemctl restart claude-distill-relay");
    }
    let stranger = machine.root("runuser -u nobody -- claude-distill-relay status --json");
    assert!(stranger.output.starts_with("{\"error\":"), "{stranger:?}");
    assert!(stranger.output.contains("sudo"), "{stranger:?}");
    // A hole in the sandbox would show here.
    let status = machine.ok(&format!("sudo cat /proc/$({MAIN_PID})/status"));
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "no {line:?} in\n{status}");
    }
    assert!(!status.contains("Uid:\t0"), "{status}");
}

/// Two relays on one machine, of which the second is a process of its own.
#[test]
fn a_second_relay_is_one_with_the_first() {
    let machine = machine!();
    let first = machine.ok(&format!(
        "{DEPLOY} --node ws://127.0.0.1:9784 --nats-server"
    ));
    assert!(
        step(&first, "cluster").contains("ws://127.0.0.1:9784"),
        "{first}"
    );
    assert!(first.contains("port 4222"), "{first}");
    let log = "sudo journalctl -u claude-distill-relay -o cat";
    until("the cluster", || {
        machine.ok(log).contains("cluster: joined").then_some(())
    });
    // The secrets are root's, and nobody else needs them to look at the relay.
    let etc = "/etc/claude-distill-relay";
    machine.ok(&format!(
        "test \"$(stat -c '%a %U' {etc}/cluster-secret {etc}/cluster-nats | uniq)\" = '600 root'
        test $(stat -c %a /etc/nats-server.conf) = 640"
    ));
    let secret = machine.ok(&format!("sudo cat {etc}/cluster-secret"));
    let shown = machine.ok(&format!("cat .env.relay {etc}/relay.env; {log}"));
    assert!(!shown.contains(secret.trim()), "{shown}");
    for look in [
        "claude-distill-relay check --relay-only",
        "claude-distill-relay check --settings",
    ] {
        let ended = machine.run(look);
        assert_eq!(ended.status, 0, "{look}: {ended:#?}");
    }
    machine.ok("sudo systemctl start claude-distill-relay-healthcheck");
    // It changes nothing once more, and has no other file of NATS's.
    let pid = machine.ok(MAIN_PID);
    let again = machine.ok(&format!(
        "{DEPLOY} --node ws://127.0.0.1:9784 --nats-server"
    ));
    assert!(
        step(&again, "service").starts_with("not restarted"),
        "{again}"
    );
    assert_eq!(machine.ok(MAIN_PID), pid);

    machine.ok(
        "sudo systemd-run --quiet --unit second --setenv=RELAY_PORT=9785 \
            --setenv=RELAY_CLUSTER_NATS=nats://127.0.0.1:4222 \
            --setenv=RELAY_CLUSTER_NATS_CREDENTIALS=/etc/claude-distill-relay/cluster-nats \
            --setenv=RELAY_CLUSTER_SECRET=/etc/claude-distill-relay/cluster-secret \
            --setenv=RELAY_CLUSTER_ADDRESS=ws://127.0.0.1:9785 /opt/claude-distill-relay",
    );
    until("the second relay", || {
        let log = machine.ok("sudo journalctl -u second -o cat");
        log.contains("9784/ is here").then_some(())
    });
    for (sender, receiver) in [(9784, 9785), (9785, 9784)] {
        machine.ok(&format!(
            "python3 /opt/share.py ws://127.0.0.1:{sender}/ ws://127.0.0.1:{receiver}/"
        ));
    }
    // nginx has both, and does without one of them.
    machine.ok(&format!("{NGINX} --nodes 127.0.0.1:9785"));
    machine.ok(SHARE);
    machine.ok("sudo systemctl stop claude-distill-relay");
    machine.ok(SHARE);
    assert!(
        machine
            .ok(&format!("{NGINX} --print"))
            .contains("server 127.0.0.1:9785 ")
    );

    // Another configuration of NATS is its operator's.
    machine.ok("echo 'port: 4222 # ours' | sudo tee /etc/nats-server.conf");
    let refused = machine.run(&format!(
        "{DEPLOY} --node ws://127.0.0.1:9784 --nats-server"
    ));
    assert_eq!(refused.status, 1, "{refused:#?}");
    assert!(
        refused.output.contains("a configuration of your own"),
        "{refused:#?}"
    );
    // A node that is not the first has to be given the secret.
    machine.ok("sudo rm /etc/claude-distill-relay/cluster-secret");
    let refused = machine.run(&format!(
        "{DEPLOY} --node ws://127.0.0.1:9784 --nats nats://127.0.0.1:4222"
    ));
    assert_eq!(refused.status, 1, "{refused:#?}");
    assert!(
        refused
            .output
            .contains("there is no /etc/claude-distill-relay/cluster-secret"),
        "{refused:#?}"
    );
}

#[test]
fn what_is_in_the_settings_stays_in_them() {
    let machine = machine!();
    machine.ok(
        "printf 'RELAY_CLIENT_IP_HEADER=X-Secret-Name\\nexport RELAY_MAX_ROOMS=12\\n' >.env.relay
        printf 'RELAY_MAX_MSG_SIZE=10485760\\n# mine' >>.env.relay
        chmod 644 .env.relay",
    );
    let output = machine.ok(&format!("{DEPLOY} --no-nginx"));
    assert!(!output.contains("X-Secret-Name"), "{output}");
    let added = step(&output, "settings");
    assert!(
        added.contains("RELAY_PORT") && !added.contains("RELAY_MAX_ROOMS"),
        "{output}"
    );
    let settings = machine.ok("cat .env.relay");
    assert!(
        settings.starts_with(
            "RELAY_CLIENT_IP_HEADER=X-Secret-Name\nexport RELAY_MAX_ROOMS=12\n\
             RELAY_MAX_MSG_SIZE=10485760\n# mine\n"
        ),
        "{settings}"
    );
    assert!(
        step(&output, "warning").contains("RELAY_MAX_MSG_SIZE"),
        "{output}"
    );
    assert_eq!(
        settings.matches("RELAY_MAX_ROOMS=").count(),
        1,
        "{settings}"
    );
    assert_eq!(machine.ok("stat -c %a .env.relay"), "600\n");

    // A port that was given once is not overwritten either.
    let output = machine
        .run(
            "./deploy/deploy-oneclick.local.sh example.com 9999 --binary /opt/claude-distill-relay",
        )
        .expect("a second port", 1);
    assert!(
        output.contains("has another RELAY_PORT than 9999"),
        "{output}"
    );
}

#[test]
fn a_setting_that_cannot_be_used_is_named_and_not_tried_again() {
    let machine = machine!();
    machine.ok(DEPLOY);
    let pid = machine.ok(MAIN_PID);
    // Neither stops the relay that runs.
    let from_elsewhere = format!("here=$PWD; cd /opt; $here/{DEPLOY}").replace(" /opt/", " ./");
    for value in ["many", "-1 # or so"] {
        machine.ok(&format!("echo 'RELAY_MAX_ROOMS={value}' >.env.relay"));
        let output = machine.run(&from_elsewhere).expect("bad settings", 1);
        assert!(output.contains("cannot use; nothing else was"), "{output}");
        assert!(output.contains("RELAY_MAX_ROOMS"), "{output}");
        assert!(output.contains("next:"), "{output}");
        assert_eq!(machine.ok(MAIN_PID), pid);
    }

    // Root may write what it likes. A reload with that changes nothing, a restart fails.
    let settings = "/etc/claude-distill-relay/relay.env";
    let journal = "sudo journalctl -u claude-distill-relay -p err -n 5 --no-pager";
    let write = |line: &str| {
        machine.ok(&format!(
            "sudo sed -i 's/^RELAY_MAX_ROOMS=.*/{line}/' {settings}"
        ))
    };
    let reload = |line: &str, log: &str, expected: &str| {
        write(line);
        machine.ok("sudo systemctl reload claude-distill-relay");
        until(expected, || {
            machine.ok(log).contains(expected).then_some(())
        });
        assert_eq!(machine.ok(MAIN_PID), pid);
    };
    let all = "sudo journalctl -u claude-distill-relay -n 20 --no-pager";
    reload(
        "RELAY_MAX_ROOMS=77",
        all,
        "settings read again: RELAY_MAX_ROOMS ",
    );
    let bad = format!("RELAY_MAX_ROOMS, from {settings}, is \"many\"");
    reload(
        "RELAY_MAX_ROOMS=many",
        journal,
        &format!("settings stay as they were: {bad}"),
    );
    let restart = "sudo systemctl restart claude-distill-relay";
    assert_ne!(machine.run(restart).status, 0);
    assert_eq!(
        machine.ok("systemctl show --value -p NRestarts claude-distill-relay"),
        "0\n"
    );
    // As the guide has it.
    let journal = machine.ok(journal);
    assert!(journal.contains(&bad), "{journal}");
    machine.ok("echo >.env.relay");
    machine.ok(DEPLOY);
}

#[test]
fn a_step_that_nobody_thought_would_fail_is_named_too() {
    let machine = machine!();
    machine.ok(&format!("{DEPLOY} --no-nginx"));
    for (harm, heal, named) in [
        (
            "sudo chown root .env.relay; sudo chmod 600 .env.relay",
            "sudo chown op .env.relay",
            "\"settings\"",
        ),
        (
            "rm -f .env.relay; sudo chown root .; sudo chmod 755 .",
            "sudo chown op .",
            "belongs to root",
        ),
    ] {
        machine.ok(harm);
        let output = machine.run(DEPLOY).expect(harm, 1);
        assert!(output.contains(named), "{output}");
        assert!(output.contains("next:"), "{output}");
        machine.ok(heal);
    }
    machine.ok("mkdir -p /tmp/folder");
    for program in ["/bin/true", "/tmp/folder"] {
        let deploy = DEPLOY.replace("/opt/claude-distill-relay", program);
        let output = machine.run(&deploy).expect(program, 1);
        assert!(
            output.contains(&format!("{program} is not a relay that runs here")),
            "{output}"
        );
    }

    // A disk that is full: the program that runs stays, and nothing beside it.
    let installed = "ls /usr/local/bin; sha256sum /usr/local/bin/claude-distill-relay";
    machine.ok(
        "(cat /opt/claude-distill-relay; date) >/tmp/newer; chmod +x /tmp/newer
        size=$(stat -c %s /opt/claude-distill-relay)
        sudo mount -t tmpfs -o size=$((size * 3 / 2)) none /mnt
        sudo cp -a /usr/local/bin/. /mnt; sudo mount --bind /mnt /usr/local/bin",
    );
    let before = machine.ok(installed);
    let deploy = DEPLOY.replace("/opt/claude-distill-relay", "/tmp/newer");
    let output = machine.run(&deploy).expect("a full disk", 1);
    assert!(output.contains("the one before stays"), "{output}");
    assert!(output.contains("df -h"), "{output}");
    assert_eq!(machine.ok(installed), before);
}

#[test]
fn a_check_from_anywhere_knows_the_settings_of_the_service() {
    let machine = machine!();
    let deploy = DEPLOY.replace("example.com", "example.com 9790");
    machine.ok(&format!("{deploy} --no-nginx"));
    let output = machine.ok("cd /; sudo claude-distill-relay check --relay-only");
    assert!(
        output.contains("/etc/claude-distill-relay/relay.env") && output.contains("9790"),
        "{output}"
    );
}

#[test]
fn a_check_names_the_hop_that_is_broken() {
    let machine = machine!();
    machine.ok(DEPLOY);
    let check = |status: i32, parts: &[&str]| {
        let ended = machine.run("cd /; sudo claude-distill-relay check");
        let output = ended.expect("a check", status);
        for part in parts {
            assert!(output.contains(part), "{part:?} is not in\n{output}");
        }
    };
    // Nobody has made the tunnel yet, and Debian's nginx is small: the way there is well.
    check(
        1,
        &[
            "ok    site        relay.example.com through nginx at 127.0.0.1:80 leads to the relay",
            "warn  public      wss://relay.example.com/: nothing listens",
        ],
    );
    machine.ok("sudo systemctl stop nginx");
    check(2, &["fail  site", "nginx is stopped"]);
    machine.ok("sudo systemctl start nginx");

    let site = "/etc/nginx/sites-available/claude-distill-relay";
    machine.ok(&format!(
        "sudo sed -i s/127.0.0.1:9784/127.0.0.1:9785/ {site}; sudo systemctl reload nginx"
    ));
    until("nginx's new workers", || {
        let asked = "curl -s -o /dev/null -w '%{http_code}' -H 'Host: relay.example.com' 127.0.0.1";
        (machine.ok(asked) == "502").then_some(())
    });
    check(
        2,
        &["does not pass on to port 9784", "finds nobody on the port"],
    );
    machine.ok(NGINX);

    // A site that is disabled, and one that is gone with all that named it in nginx.
    for gone in ["/etc/nginx/sites-enabled/claude-distill-relay", site] {
        machine.ok(&format!("sudo rm {gone}; sudo systemctl restart nginx"));
        check(
            2,
            &[
                "fail  nginx       the relay's site is gone: relay.example.com",
                "fail  site",
                "another site of nginx's answers to relay.example.com",
            ],
        );
    }
    // The name is remembered all the same, and no other one takes its place unasked.
    let other = machine.run(&format!("{NGINX} relay.example.org"));
    assert!(other.expect("another name", 1).contains("--rename"));
    machine.ok(NGINX);
    machine.ok(SHARE);
    check(1, &["ok    site"]);

    // Who may not read the settings is told that, and not that the relay does not start.
    let settings = "/etc/claude-distill-relay/relay.env";
    machine.ok(&format!("sudo chmod 600 {settings}"));
    let output = machine.run("cd /; claude-distill-relay check --relay-only");
    let output = output.expect("a check of nobody in particular", 1);
    machine.ok(&format!("sudo chmod 644 {settings}"));
    let denied =
        "warn  config      cannot read /etc/claude-distill-relay/relay.env: Permission denied";
    assert!(output.contains(denied), "{output}");
    assert!(!output.contains("does not start"), "{output}");
    machine.ok("sudo install -m 600 .env.relay /tmp/.env.relay");
    let output = machine.run("cd /tmp; claude-distill-relay check --settings");
    let output = output.expect("settings of root's", 2);
    assert!(output.contains("cannot read .env.relay"), "{output}");

    // The relay that runs is what is judged, also beside settings that it does not have.
    machine.ok("sed -i s/^RELAY_PORT=.*/RELAY_PORT=9999/ .env.relay");
    check(1, &["ok    config", "/etc/claude-distill-relay/relay.env"]);
    let here = machine.run("sudo claude-distill-relay check --relay-only");
    let here = here.expect("a check in the checkout", 0);
    assert!(
        here.contains("127.0.0.1:9784") && here.contains(".env.relay in this directory has other"),
        "{here}"
    );
}

#[test]
fn the_rooms_of_the_health_check_are_no_users() {
    let machine = machine!();
    machine.ok(&format!("{DEPLOY} --no-nginx"));
    machine.ok("sudo systemctl start claude-distill-relay-healthcheck");
    let metrics = machine.ok("curl -sS http://127.0.0.1:9784/metrics");
    assert!(
        metrics.contains("relay_rooms_opened_total 0\n"),
        "{metrics}"
    );
    assert!(metrics.contains("relay_check_rooms_total 2\n"), "{metrics}");
    let log = machine.ok("sudo journalctl -u claude-distill-relay -o cat");
    assert!(
        log.contains("listening on") && !log.contains("room #"),
        "{log}"
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let machine = machine!();
    let taken = |port: u16| {
        machine.ok(&format!(
            "sudo systemd-run --quiet --unit=other-{port} python3 -m http.server {port}
            until curl -s http://127.0.0.1:{port}/ >/tmp/other; do sleep 0.1; done"
        ));
    };
    taken(9784);
    let before = machine.fingerprint();
    let output = machine.run(DEPLOY).expect("a taken port", 1);
    assert!(
        output.contains("port 9784 is taken by python3 (process "),
        "{output}"
    );
    assert!(output.contains("next:"), "{output}");
    assert_eq!(machine.fingerprint(), before);
    machine.ok("sudo systemctl stop nginx");
    taken(80);
    let output = machine
        .run(&format!("{NGINX} relay.example.com"))
        .expect("a taken port", 1);
    assert!(output.contains("sudo ss -ltnp 'sport = :80'"), "{output}");
    // With the ports free, the same commands do it.
    machine.ok("sudo systemctl stop other-80 other-9784");
    machine.ok(DEPLOY);
    machine.ok(SHARE);
}

#[test]
fn the_program_before_comes_back() {
    let machine = machine!();
    let installed = "cat /usr/local/bin/claude-distill-relay | sha256sum";
    let none = machine
        .run("./deploy/deploy-oneclick.local.sh --rollback")
        .expect("no previous", 1);
    assert!(none.contains("next:"), "{none}");

    machine.ok(DEPLOY);
    let first = machine.ok(installed);
    machine.ok("(cat /opt/claude-distill-relay; echo) >/tmp/newer && chmod +x /tmp/newer");
    let output = machine.ok("./deploy/deploy-oneclick.local.sh example.com --binary /tmp/newer");
    assert_eq!(step(&output, "service"), "restarted: its program is new");
    let second = machine.ok(installed);
    assert_ne!(first, second);

    for expected in [&first, &second] {
        machine.ok("./deploy/deploy-oneclick.local.sh --rollback");
        assert_eq!(&machine.ok(installed), expected);
        machine.ok(&format!(
            "sudo test /proc/$({MAIN_PID})/exe -ef /usr/local/bin/claude-distill-relay"
        ));
        machine.ok(SHARE);
    }
}

#[test]
fn a_program_comes_back_with_its_units() {
    let machine = machine!();
    machine.ok(&format!("{DEPLOY} --no-nginx"));
    // One from when the settings were systemd's to read.
    machine.ok(r#"sudo rm /usr/local/bin/claude-distill-relay
        printf '#!/bin/sh\nfor word; do [ "$word" != --env-file ] || exit 2; done\n%s\n' \
            'exec /opt/claude-distill-relay "$@"' | sudo tee /usr/local/bin/claude-distill-relay
        sudo chmod 755 /usr/local/bin/claude-distill-relay
        sudo sed -i -e 's/ --env-file .*//' -e '/^ExecReload/d' \
            -e '/^Restart=/iEnvironmentFile=-/etc/claude-distill-relay/relay.env' \
            /etc/systemd/system/claude-distill-relay.service
        sudo systemctl daemon-reload; sudo systemctl restart claude-distill-relay"#);
    let installed = "cat /usr/local/bin/claude-distill-relay \
        /etc/systemd/system/claude-distill-relay* | sha256sum";
    let before = machine.ok(installed);
    machine.ok(&format!("{DEPLOY} --no-nginx"));
    let after = machine.ok(installed);
    assert_ne!(before, after);
    for expected in [&before, &after, &before] {
        machine.ok("./deploy/deploy-oneclick.local.sh --rollback");
        assert_eq!(&machine.ok(installed), expected);
        machine.ok("python3 /opt/share.py ws://127.0.0.1:9784/");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_written() {
    let machine = machine!();
    let before = machine.fingerprint();
    let long = format!("{}.com", "a".repeat(64));
    let names = [
        "''",
        "example",
        "http://example.com",
        "example.com/",
        "-a.com",
        "a-.com",
        "a..com",
        "a.com.",
        "'a b.com'",
        "'a.com;'",
        "'a.com{}'",
        "192.0.2.1",
        "a_b.com",
        "'$(id).com'",
        "exämple.com",
        &long,
    ];
    for name in names {
        for script in ["./deploy/deploy-oneclick.local.sh", NGINX] {
            let output = machine.run(&format!("{script} {name}")).expect(name, 2);
            assert!(output.contains("usage:"), "{output}");
        }
    }
    for port in [
        "0",
        "65536",
        "080",
        "99999999999999999999",
        "-1",
        "1e3",
        "80x",
        "' 80'",
    ] {
        machine
            .run(&format!(
                "./deploy/deploy-oneclick.local.sh example.com {port}"
            ))
            .expect(port, 2);
        machine
            .run(&format!("{NGINX} relay.example.com {port}"))
            .expect(port, 2);
        machine
            .run(&format!("{NGINX} relay.example.com --listen {port}"))
            .expect(port, 2);
    }
    let mut others = vec![
        "./deploy/deploy-oneclick.local.sh example.com 9784 more".to_owned(),
        "./deploy/deploy-oneclick.local.sh example.com --unknown".to_owned(),
        "./deploy/deploy-oneclick.local.sh example.com --rollback".to_owned(),
    ];
    for options in [
        "80",
        "--tls",
        "--tls /a.pem",
        "--tls a.pem b.pem",
        "--tls '/a b' /c",
        "--what",
    ] {
        others.push(format!("{NGINX} relay.example.com {options}"));
    }
    for command in others {
        machine.run(&command).expect(&command, 2);
    }
    assert_eq!(machine.fingerprint(), before);
}

#[test]
fn a_name_is_replaced_only_where_that_is_asked_for() {
    let machine = machine!();
    let output = machine.ok(&DEPLOY.replace("example.com", "relay.example.com"));
    assert!(step(&output, "site").starts_with("relay.example.com, port 80"));
    let site = "cat /etc/nginx/sites-available/claude-distill-relay";
    let status = |host: &str| {
        machine.ok(&format!(
            "curl -s -o /dev/null -w '%{http_code}' -H 'Host: {host}' http://127.0.0.1/",
            http_code = "{http_code}"
        ))
    };

    let before = machine.fingerprint();
    for other in [
        DEPLOY.replace("example.com", "example.org"),
        format!("{NGINX} relay.example.org"),
        format!("{NGINX} example.com"),
    ] {
        let output = machine.run(&other).expect("another name", 1);
        assert!(output.contains("relay.example.com"), "{output}");
        assert!(output.contains("--rename"), "{output}");
    }
    // Nor by a port that the relay does not have.
    machine
        .run(&format!("{NGINX} relay.example.com 9999"))
        .expect("another port", 2);
    assert_eq!(machine.fingerprint(), before);

    // It is remembered.
    machine.ok(&DEPLOY.replace("example.com ", ""));
    machine.ok(NGINX);
    assert_eq!(machine.fingerprint(), before);
    assert_eq!(status("relay.example.com"), "426");

    let renamed = DEPLOY.replace("example.com", "example.org --rename");
    let output = machine.ok(&renamed);
    assert_eq!(
        step(&output, "name"),
        "relay.example.org, in the place of relay.example.com"
    );
    assert_eq!(status("relay.example.org"), "426");
    assert_ne!(status("relay.example.com"), "426");
    assert!(machine.ok(site).contains("server_name relay.example.org;"));
}

#[test]
fn a_port_that_cannot_work_is_refused_before_anything_is_written() {
    let machine = machine!();
    let before = machine.fingerprint();
    for port in ["80", "443", "1023"] {
        let deploy = DEPLOY.replace("example.com", &format!("example.com {port}"));
        let output = machine.run(&deploy).expect(port, 1);
        assert!(output.contains(&format!("port {port}")), "{output}");
    }
    assert_eq!(machine.fingerprint(), before);
    machine.ok("echo RELAY_PORT=0 >.env.relay");
    let before = machine.fingerprint();
    machine.run(DEPLOY).expect("any port", 1);
    assert_eq!(machine.fingerprint(), before);
    // Where nginx listens.
    machine.ok(&format!(
        "rm .env.relay; {NGINX} relay.example.com --listen 8080"
    ));
    let deploy = DEPLOY.replace("example.com", "example.com 8080");
    let output = machine.run(&deploy).expect("nginx's port", 1);
    assert!(output.contains("port 8080 is nginx's"), "{output}");
    // What systemd holds is somewhere else.
    machine.ok(DEPLOY);
    machine.ok("sudo systemctl stop claude-distill-relay.service
        sudo systemctl enable --now claude-distill-relay.socket
        sed -i s/^RELAY_PORT=.*/RELAY_PORT=9790/ .env.relay");
    let output = machine.run(DEPLOY).expect("another port", 1);
    assert!(output.contains("systemd holds another port"), "{output}");
}

#[test]
fn the_old_paths_lead_to_the_scripts() {
    let machine = machine!();
    let output = machine.ok(&DEPLOY.replace("./deploy/", "./scripts/"));
    assert!(
        step(&output, "service").starts_with("restarted"),
        "{output}"
    );
    let output = machine.ok("cd /; ~/claude-distill-relay/scripts/setup-nginx-relay.sh");
    assert!(step(&output, "site").starts_with("unchanged"), "{output}");
    machine
        .run("./scripts/setup-nginx-relay.sh --what")
        .expect("the same answers", 2);
}

#[test]
fn another_relay_makes_room_and_can_have_it_back() {
    let machine = machine!();
    // One that has our names, our port and settings of its own.
    machine.ok(
        "printf 'PYTHONUNBUFFERED=1\nRELAY_MAX_ROOMS=7\n' >.env.relay
        printf '[Service]\nExecStart=python3 -m http.server 9784\n' |
            sudo tee /etc/systemd/system/claude-distill-relay.service /tmp/unit
        printf 'server { listen 80; server_name relay.example.com; return 204; }\n' |
            sudo tee /etc/nginx/sites-available/claude-distill-relay /tmp/site
        sudo ln -s ../sites-available/claude-distill-relay /etc/nginx/sites-enabled/
        sudo systemctl daemon-reload
        sudo systemctl start claude-distill-relay; sudo systemctl reload nginx",
    );
    let output = machine.ok(DEPLOY);
    assert!(
        step(&output, "install").contains("without PYTHONUNBUFFERED"),
        "{output}"
    );
    machine.ok(SHARE);
    // A second deployment does not take ours for theirs.
    machine.ok("sudo sed -i 2d /etc/systemd/system/claude-distill-relay.service");
    machine.ok(&format!("{DEPLOY} --no-nginx"));
    machine.ok(&format!("{NGINX} --listen 8080; {NGINX} --listen 80"));

    let output = machine.ok("./deploy/deploy-oneclick.local.sh --uninstall");
    assert!(output.contains("claude-distill-relay.before"), "{output}");
    machine.ok("cmp /tmp/unit /etc/claude-distill-relay/before.service
        cmp /tmp/site /etc/nginx/sites-available/claude-distill-relay.before");
}

#[test]
fn what_was_deployed_goes_again() {
    let machine = machine!();
    let files = || {
        let of_others = |line: &String| {
            !["/home/", "/proc", "/run/", "/etc/ufw/", "/tmp/"]
                .iter()
                .any(|folder| line.starts_with(folder))
        };
        let mut files = machine.fingerprint();
        files.retain(of_others);
        files
    };
    let before = files();
    machine.ok(&format!("{DEPLOY} --ufw"));
    machine.ok("(cat /opt/claude-distill-relay; echo) >/tmp/newer && chmod +x /tmp/newer");
    machine.ok(&DEPLOY.replace("/opt/claude-distill-relay", "/tmp/newer"));
    let settings = machine.ok("cat .env.relay");
    assert_ne!(files(), before);
    machine.ok("sudo systemctl start claude-distill-relay-healthcheck");

    let uninstall = "./deploy/deploy-oneclick.local.sh --uninstall";
    let output = machine.ok(uninstall);
    assert!(output.contains("removed: relay.example.com"), "{output}");
    assert_eq!(files(), before);
    assert_eq!(machine.ok("cat .env.relay"), settings);
    assert_eq!(
        machine.ok("systemctl list-units --all -q 'claude-distill*'"),
        ""
    );
    assert!(!machine.root("ufw show added").output.contains("9784"));
    machine.ok("sudo nginx -t && systemctl is-active nginx && sudo test ! -e /var/log/claude-distill-relay &&
        test -z \"$(sudo find /var/log -name 'claude-distill-relay*')\"");
    // There is nothing left to do, and nothing in the way of another beginning.
    machine.ok(uninstall);
    machine.ok(DEPLOY);
    machine.ok(SHARE);
}

#[test]
fn a_site_that_nginx_does_not_take_leaves_no_trace() {
    let machine = machine!();
    let set_up = format!("{NGINX} relay.example.com");
    // Without the times: what is put back is a file written anew.
    let site = "ls -l --time-style=+ /etc/nginx/sites-*
        cat /etc/nginx/sites-available/claude-distill-relay 2>&1";

    // First with no site before, then with one.
    for _ in 0..2 {
        let before = machine.run(site).output;
        // A certificate that is none.
        machine.ok("echo none | sudo tee /etc/nginx/relay.pem");
        let output = machine
            .run(&format!(
                "{set_up} --tls /etc/nginx/relay.pem /etc/nginx/relay.pem"
            ))
            .expect("a bad certificate", 1);
        assert!(
            output.contains("next:") && output.contains("relay.pem"),
            "{output}"
        );
        assert_eq!(machine.run(site).output, before);
        machine
            .run(&format!("{set_up} --tls /nowhere.pem /nowhere.pem"))
            .expect("no certificate", 1);

        // Another site for the name, which nginx would only warn of.
        machine.ok(
            "echo 'server { listen 80; server_name relay.example.com; }' |
            sudo tee /etc/nginx/another
            sudo ln -s /etc/nginx/another /etc/nginx/sites-enabled/another",
        );
        let output = machine
            .run(&format!("{set_up} 9999"))
            .expect("another site", 1);
        assert!(
            output.contains("another site of this nginx serves relay.example.com"),
            "{output}"
        );
        let (_, find) = output.split_once("disable that one: ").unwrap();
        assert_eq!(
            machine.ok(find.trim_end()),
            "/etc/nginx/sites-enabled/another\n"
        );
        machine.ok("sudo rm /etc/nginx/sites-enabled/another");
        assert_eq!(machine.run(site).output, before);

        // A configuration that was bad before.
        machine.ok("echo nonsense | sudo tee /etc/nginx/conf.d/mine.conf");
        let output = machine
            .run(&format!("{set_up} 9999"))
            .expect("a bad nginx.conf", 1);
        assert!(
            output.contains("did so before") && output.contains("mine.conf"),
            "{output}"
        );
        machine.ok("sudo rm /etc/nginx/conf.d/mine.conf");
        assert_eq!(machine.run(site).output, before);

        // A port that is somebody else's, which nginx's own test does not mind, and which is not seen
        // without ss.
        let output = machine
            .run(&format!(
                "sudo chmod a-x /usr/bin/ss
                 python3 -c 'import socket, time; s = socket.create_server((\"\", 8081)); \
                     open(\"/tmp/taken\", \"w\"); time.sleep(60)' & holder=$!
                 for _ in {{1..100}}; do [[ ! -e /tmp/taken ]] || break; sleep 0.1; done
                 {set_up} --listen 8081; status=$?
                 kill $holder; rm /tmp/taken; sudo chmod a+x /usr/bin/ss; exit $status"
            ))
            .expect("a port that is taken", 1);
        assert!(
            output.contains("nginx does not take the new site over")
                && output.contains("is port 8081 taken?"),
            "{output}"
        );
        assert_eq!(machine.run(site).output, before);

        machine.ok(&set_up);
    }
    // nginx answers all the while, and says in words that the relay is not there.
    let answer = machine.ok("curl -s -H 'Host: relay.example.com' http://127.0.0.1/");
    assert!(
        answer.contains("the relay behind it does not answer"),
        "{answer}"
    );
}

#[test]
fn nginx_is_compared_with_what_the_relay_can_hold() {
    let machine = machine!();
    let open_files = "main=$(systemctl show --value -p MainPID nginx)
        for worker in $(cat /proc/$main/task/$main/children); do
            sudo awk '/^Max open files/ { print $4 }' /proc/$worker/limits
        done | sort -u";
    // As Debian has it.
    let output = machine.ok(DEPLOY);
    let limits = step(&output, "limits");
    assert!(limits.contains("full at 384 sessions"), "{output}");
    assert!(limits.contains("RELAY_MAX_SESSIONS is 10000"), "{output}");
    assert!(output.contains("--limits"), "{output}");
    assert_eq!(
        machine.ok("grep -c 'worker_connections 768;' /etc/nginx/nginx.conf"),
        "1\n"
    );

    let check = machine.run("cd /; sudo claude-distill-relay check");
    let warning = "it may be full at 384 sessions, and RELAY_MAX_SESSIONS is 10000";
    assert!(check.output.contains(warning), "{}", check.output);

    // No more than any machine lets nginx have.
    machine.ok("sed -i s/^RELAY_MAX_SESSIONS=.*/RELAY_MAX_SESSIONS=4000/ .env.relay");
    let before = machine.ok("cat /etc/nginx/nginx.conf");
    let set = format!("{NGINX} relay.example.com --limits");
    let output = machine.ok(&set);
    assert!(
        step(&output, "limits").starts_with("nginx can hold 4000 sessions now"),
        "{output}"
    );
    assert_eq!(machine.ok(open_files), "9024\n");
    let effective = machine.ok("sudo nginx -T");
    assert!(
        effective.contains("worker_connections 8512;"),
        "{effective}"
    );
    assert_eq!(
        machine.ok("cat /etc/nginx/nginx.conf.before-limits"),
        before
    );
    machine.ok(SHARE);

    // Nothing is left to do, until the relay can hold more.
    let conf = machine.ok("cat /etc/nginx/nginx.conf");
    assert!(step(&machine.ok(DEPLOY), "limits").starts_with("nginx can hold the 4000"));
    let check = machine.run("cd /; sudo claude-distill-relay check");
    let fits = "its configuration passes nginx -t, and fits the relay's";
    assert!(check.output.contains(fits), "{}", check.output);
    machine.ok("sed -i s/^RELAY_MAX_SESSIONS=.*/RELAY_MAX_SESSIONS=5000/ .env.relay");
    let output = machine.ok(&format!("{NGINX} relay.example.com"));
    assert!(
        step(&output, "limits").contains("4256 sessions"),
        "{output}"
    );
    assert_eq!(machine.ok("cat /etc/nginx/nginx.conf"), conf);

    // What nginx does not take is put back.
    machine.ok("sudo sed -i 's/^events {/events {}\\nhttp {}\\nevents {/' /etc/nginx/nginx.conf");
    let bad = machine.ok("cat /etc/nginx/nginx.conf");
    machine.run(&set).expect("a bad nginx.conf", 1);
    assert_eq!(machine.ok("cat /etc/nginx/nginx.conf"), bad);
}

#[test]
fn logs_are_bounded() {
    let machine = machine!();
    machine.ok(DEPLOY);
    let limit = "systemctl show --value claude-distill-relay \
        -p LogRateLimitIntervalUSec -p LogRateLimitBurst";
    assert_eq!(machine.ok(limit), "30s\n4000\n");

    let ask = |path: &str| {
        machine.ok(&format!(
            "curl -s -o /dev/null -H 'Host: relay.example.com' 'http://127.0.0.1/{path}?secret'"
        ));
    };
    let logs = "/var/log/claude-distill-relay";
    let has = |log: &str, path: &str| machine.run(&format!("sudo grep -q 'GET /{path} ' {log}"));
    ask("first");
    until("a line in the log", || {
        (has(&format!("{logs}/access.log"), "first").status == 0).then_some(())
    });
    machine
        .run(&format!("cat {logs}/access.log"))
        .expect("not for everybody", 1);
    machine
        .run("sudo grep -r secret /var/log/nginx /var/log/claude-distill-relay")
        .expect("no secret", 1);

    // As it is run every day, beside what else there is: what is small stays until the next day.
    let rotate = "sudo logrotate /etc/logrotate.conf";
    assert_eq!(machine.ok(rotate), "");
    machine.ok(&format!("sudo test ! -e {logs}/access.log.1"));
    machine.ok(&format!("sudo truncate -s 21M {logs}/access.log"));
    assert_eq!(machine.ok(rotate), "");
    has(&format!("{logs}/access.log.1"), "first").expect("the old log", 0);
    // nginx writes into the new one.
    until("a line in the new log", || {
        ask("second");
        (has(&format!("{logs}/access.log"), "second").status == 0).then_some(())
    });
}

#[test]
fn somebody_elses_time_for_requests_stays() {
    let machine = machine!();
    machine.ok("echo 'client_header_timeout 7s;' | sudo tee /etc/nginx/conf.d/mine.conf");
    let output = machine.ok(DEPLOY);
    assert!(
        step(&output, "reload").starts_with("nginx serves"),
        "{output}"
    );
    machine.ok(SHARE);
    let timeouts = "sudo nginx -T 2>/tmp/log | grep client_header_timeout";
    assert_eq!(machine.ok(timeouts), "client_header_timeout 7s;\n");
    assert!(step(&machine.ok(DEPLOY), "site").starts_with("unchanged"));
}

#[test]
fn nginx_serves_tls_with_a_certificate_of_ones_own() {
    let machine = machine!();
    machine.ok(&format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=relay.example.com \
            -addext subjectAltName=DNS:relay.example.com -addext basicConstraints=critical,CA:FALSE \
            -keyout /tmp/key.pem -out /tmp/chain.pem 2>/tmp/openssl.log
        {DEPLOY} --no-nginx
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=another -keyout /tmp/other.key \
            -out /tmp/other.pem 2>/tmp/openssl.log
        sudo install -D -m 600 -t /etc/nginx/tls /tmp/chain.pem /tmp/key.pem
        {NGINX} relay.example.com --tls /etc/nginx/tls/chain.pem /etc/nginx/tls/key.pem"
    ));
    let answers = || {
        let answer = machine.ok("curl -s --cacert /tmp/chain.pem https://relay.example.com/");
        assert!(answer.contains("WebSocket"), "{answer}");
    };
    answers();
    // A check takes it for what it is, until it is told to trust it.
    let check = "sudo env SSL_CERT_FILE=/tmp/chain.pem claude-distill-relay check";
    let output = machine.run(&check.replace("/tmp/chain.pem", "/tmp/other.pem"));
    let output = output.expect("a certificate of nobody's", 2);
    for step in ["fail  site", "fail  public"] {
        let part = output
            .split(step)
            .nth(1)
            .unwrap_or_else(|| panic!("{output}"));
        assert!(part.contains("the certificate is self-signed"), "{output}");
    }
    let output = machine.run(check).expect("a certificate that ends soon", 1);
    assert_eq!(output.matches("ends in 1 day").count(), 2, "{output}");
    // An update leaves it so.
    machine.ok(DEPLOY);
    answers();
    machine.ok(&format!("{NGINX} --no-tls"));
    machine.ok(SHARE);
}

#[test]
fn what_certbot_makes_of_the_site_stays() {
    let machine = machine!();
    let site = "/etc/nginx/sites-available/claude-distill-relay";
    let live = "/etc/letsencrypt/live/relay.example.com";
    let tls = format!(
        "    listen [::]:443 ssl ipv6only=on; # managed by Certbot\\n\
        listen 443 ssl; # managed by Certbot\\n\
        ssl_certificate {live}/fullchain.pem; # managed by Certbot\\n\
        ssl_certificate_key {live}/privkey.pem; # managed by Certbot"
    );
    machine.ok(&format!(
        "{DEPLOY}
        openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=relay.example.com \
            -addext subjectAltName=DNS:relay.example.com -addext basicConstraints=critical,CA:FALSE \
            -keyout /tmp/privkey.pem -out /tmp/fullchain.pem 2>/tmp/openssl.log
        sudo install -D -m 600 -t {live} /tmp/fullchain.pem /tmp/privkey.pem
        sudo cp {site} /tmp/plain"
    ));
    let set_up = || {
        let output = machine.ok(NGINX);
        assert!(
            step(&output, "reload").starts_with("nginx serves"),
            "{output}"
        );
        let again = machine.ok(&DEPLOY.replace("example.com ", ""));
        assert!(step(&again, "site").starts_with("unchanged"), "{again}");
        let answer = machine.ok("curl -s --cacert /tmp/fullchain.pem https://relay.example.com/");
        assert!(answer.contains("WebSocket"), "{answer}");
    };

    // With its redirection, and without.
    machine.ok(&format!(
        "sudo sed -i -e '/^    listen /d' -e 's|^    server_name .*|&\\n{tls}|' {site}
        printf 'server {{\\n    if ($host = relay.example.com) {{\\n        \
            return 301 https://$host$request_uri;\\n    }} # managed by Certbot\\n\\n    listen 80;\\n    \
            listen [::]:80;\\n    server_name relay.example.com;\\n    return 404; # managed by Certbot\\n}}\\n' |
            sudo tee -a {site}
        sudo nginx -t"
    ));
    set_up();
    let sent_on = "curl -s -o /dev/null -w '%{redirect_url}' 'http://relay.example.com/a?b'";
    assert_eq!(machine.ok(sent_on), "https://relay.example.com/a?b");

    machine.ok(&format!(
        "sudo cp /tmp/plain {site}
        sudo sed -i -e 's|^    server_name .*|&\\n{tls}|' {site}
        sudo nginx -t"
    ));
    set_up();
    machine.ok(SHARE);
}

/// What would have the dynamic linker of any program that is started with it write a file into `/`,
/// which only root can.
const TRACE: &str = "LD_DEBUG=files\nLD_DEBUG_OUTPUT=/traced\n";

#[test]
fn root_runs_and_reads_nothing_that_a_user_can_write() {
    let machine = machine!();
    machine.ok(&format!("printf '{TRACE}RELAY_MAX_ROOMS=7\\n' >.env.relay"));
    let output = machine.ok(DEPLOY);
    assert!(
        step(&output, "install").contains("without LD_DEBUG LD_DEBUG_OUTPUT"),
        "{output}"
    );
    // Later, too, and by whatever the settings may have become.
    machine.ok(&format!(
        "printf '{TRACE}RELAY_MAX_ROOMS=8\\n' >.env.relay
        sudo systemctl restart claude-distill-relay
        sudo systemctl start claude-distill-relay-healthcheck"
    ));
    assert_eq!(machine.ok("ls / | grep traced || true"), "");
    let environment = machine.ok(&format!(
        "sudo cat /proc/$({MAIN_PID})/environ | tr '\\0' '\\n'"
    ));
    assert!(!environment.contains("LD_"), "{environment}");
    let log = machine.ok("sudo journalctl -u claude-distill-relay -n 20 -o cat --no-pager");
    assert!(log.contains(" 7 rooms of "), "{log}");

    // Whatever root's units, nginx's site and the rotation of logs name is root's, with all that is on
    // the way, and so is what they run.
    let files = machine.ok(
        "sudo find /etc /usr/local /var/log -path '*claude-distill-relay*' ! -path '*-events*'; \
         echo /usr/local/bin/claude-distill-relay",
    );
    assert!(files.lines().count() > 8, "{files}");
    for file in files.lines() {
        let way = machine.ok(&format!("namei -l '{file}'"));
        for entry in way.lines().filter(|line| !line.starts_with("f: ")) {
            let fields: Vec<_> = entry.split_whitespace().collect();
            let is_link = fields[0].starts_with('l');
            assert_eq!(fields[1], "root", "{way}");
            let group_may = fields[0].as_bytes()[5] == b'w' && fields[2] != "root";
            let others_may = fields[0].as_bytes()[8] == b'w';
            assert!(is_link || !(group_may || others_may), "{way}");
        }
    }

    // The check and what comes of it, as they run.
    let user = "systemctl show --value -p DynamicUser claude-distill-relay-healthcheck";
    assert_eq!(machine.ok(user), "yes\n");
}

#[test]
fn root_follows_no_link_of_a_users() {
    let machine = machine!();
    // What only root may read, in the shape of settings, behind a user's link.
    machine.ok(
        "echo RELAY_SECRET=x | sudo tee /srv/secret; sudo chmod 600 /srv/secret
        ln -s /srv/secret .env.relay",
    );
    machine.run(DEPLOY).expect("settings of root's", 1);
    machine.ok("rm .env.relay; sudo test ! -e /etc/claude-distill-relay/relay.env");

    // The same as the program.
    machine.ok("sudo install -m 700 /opt/claude-distill-relay /srv/program
        ln -s /srv/program /tmp/program");
    let deploy = DEPLOY.replace("/opt/claude-distill-relay", "/tmp/program");
    machine.run(&deploy).expect("a program of root's", 1);
    machine.ok("sudo test ! -e /usr/local/bin/claude-distill-relay");

    // And as the key of nginx's certificate.
    machine.ok(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=relay.example.com \
            -keyout key.pem -out chain.pem 2>/tmp/openssl.log
        sudo install -D -m 600 -t /etc/nginx/tls key.pem chain.pem
        ln -sf /etc/nginx/tls/key.pem key.pem",
    );
    let tls = format!("{NGINX} relay.example.com --tls /etc/nginx/tls/chain.pem");
    let output = machine
        .run(&format!("{tls} $PWD/key.pem"))
        .expect("a link", 1);
    assert!(
        output.contains("somebody else than root can put"),
        "{output}"
    );
    machine.ok("sudo test ! -e /etc/nginx/sites-available/claude-distill-relay");
    machine.ok(&format!("{tls} /etc/nginx/tls/key.pem"));
}

/// Deployments once had systemd follow a link into the checkout.
#[test]
fn the_settings_of_a_link_become_a_file_of_roots() {
    let machine = machine!();
    machine.ok(
        "echo RELAY_MAX_ROOMS=7 >.env.relay; sudo mkdir /etc/claude-distill-relay
        sudo ln -s $PWD/.env.relay /etc/claude-distill-relay/relay.env",
    );
    machine.ok(&format!("{DEPLOY} --no-nginx"));
    let installed = "stat -c '%F %a %U' /etc/claude-distill-relay/relay.env
        sudo grep ^RELAY_MAX_ROOMS /etc/claude-distill-relay/relay.env";
    assert_eq!(
        machine.ok(installed),
        "regular file 644 root\nRELAY_MAX_ROOMS=7\n"
    );

    // What is edited counts once it is taken over, and not before it was found good.
    machine.ok("sed -i s/^RELAY_MAX_ROOMS=.*/RELAY_MAX_ROOMS=8/ .env.relay");
    let output = machine.ok("./deploy/deploy-oneclick.local.sh --settings");
    assert_eq!(step(&output, "service"), "reloaded: relay.env is new");
    assert!(
        step(&output, "program").starts_with("unchanged"),
        "{output}"
    );
    assert!(machine.ok(installed).ends_with("=8\n"));
    machine.ok("sed -i s/^RELAY_MAX_ROOMS=.*/RELAY_MAX_ROOMS=many/ .env.relay");
    machine
        .run("./deploy/deploy-oneclick.local.sh --settings")
        .expect("a bad setting", 1);
    assert!(machine.ok(installed).ends_with("=8\n"));

    // A link into a checkout that has gone.
    machine.ok("rm .env.relay; sudo ln -sfT $PWD/.env.relay /etc/claude-distill-relay/relay.env");
    let output = machine.run(DEPLOY).expect("no settings", 1);
    assert!(output.contains("the settings are gone"), "{output}");
    machine.ok("test ! -e .env.relay");
}

#[test]
fn the_settings_outlive_their_checkout() {
    let machine = machine!();
    machine.ok("echo RELAY_MAX_ROOMS=7 >.env.relay");
    machine.ok(DEPLOY);
    machine.ok("mv ~/claude-distill-relay ~/elsewhere && mkdir ~/claude-distill-relay");
    machine.ok("sudo systemctl restart claude-distill-relay");
    let rooms =
        "sudo journalctl -u claude-distill-relay -o cat | grep -o '[0-9]* rooms of' | tail -n 1";
    assert_eq!(machine.ok(rooms), "7 rooms of\n");

    // Another checkout without settings takes them from there.
    machine.ok("mv ~/elsewhere/.env.relay /tmp/old");
    let deploy = format!("cd ~/elsewhere && {DEPLOY}");
    let output = machine.ok(&deploy);
    assert!(
        step(&output, "settings").starts_with("taken from /etc"),
        "{output}"
    );
    machine.ok("cmp /tmp/old ~/elsewhere/.env.relay");
    assert_eq!(machine.ok(rooms), "7 rooms of\n");

    // Nor does the same one that has lost them begin anew.
    machine.ok("rm ~/elsewhere/.env.relay");
    let output = machine.ok(&deploy);
    assert!(
        step(&output, "settings").starts_with("taken from /etc"),
        "{output}"
    );
    machine.ok("cmp /tmp/old ~/elsewhere/.env.relay");

    // One with others does not replace them unnoticed.
    machine.ok(
        "cp -a ~/elsewhere ~/third; sed -i s/^RELAY_MAX_ROOMS=.*/RELAY_MAX_ROOMS=8/ ~/third/.env.relay",
    );
    let output = machine
        .run(&format!("cd ~/third && {DEPLOY}"))
        .expect("other settings", 1);
    assert!(
        output
            .contains("differs from what the relay runs with, which came from /home/op/elsewhere"),
        "{output}"
    );
    assert_eq!(machine.ok(rooms), "7 rooms of\n");
}

/// A command that tells in the journal what it was told, by whom, and of how many settings it knows.
const ALERT: &str = r#"cat >>.env.relay <<'END'
RELAY_ALERT_COMMAND='if [ -e /etc/out-of-reach ]; then exit 7; fi; echo "told: $RELAY_ALERT, $RELAY_ALERT_TEXT; $(id -u), $(env | grep -c RELAY_MAX)"'
END"#;

#[test]
fn the_health_check_restarts_a_relay_that_fails_three_times_in_a_row() {
    let machine = machine!();
    machine.ok(ALERT);
    machine.ok(DEPLOY);
    // It is a setting like others, as far as anybody is warned of those.
    machine.ok("claude-distill-relay check --settings");
    let told = |of: &str| {
        let log = "sudo journalctl -u 'claude-distill-relay-healthcheck-alert*' -o cat";
        let log = machine.ok(log);
        log.matches(&format!("told: {of}, ")).count()
    };
    let check = "sudo systemctl start claude-distill-relay-healthcheck";
    let pid = machine.ok(MAIN_PID);
    machine.ok(check);
    assert_eq!(
        machine.ok("systemctl is-active claude-distill-relay-healthcheck.timer"),
        "active\n"
    );

    // It looks where nobody listens.
    let astray = "sudo mkdir -p /run/systemd/system/claude-distill-relay-healthcheck.service.d
        printf '[Service]\\nEnvironmentFile=\\nEnvironment=RELAY_PORT=1\\n' |
            sudo tee /run/systemd/system/claude-distill-relay-healthcheck.service.d/test.conf
        sudo systemctl daemon-reload";
    let back = "sudo rm /run/systemd/system/claude-distill-relay-healthcheck.service.d/test.conf
        sudo systemctl daemon-reload";
    let count = "sudo cat /run/claude-distill-relay-healthcheck/failures | wc -l";
    // A failure is counted after the check has ended.
    let fail = |counted: &str| {
        machine.run(check).expect("a failure", 1);
        until("its being counted", || {
            (machine.run(count).output.ends_with(counted)).then_some(())
        });
    };
    // Two failures, a success, and two failures are no three in a row.
    let mut rounds = 0;
    for _ in 0..2 {
        machine.ok(astray);
        fail("1\n");
        fail("2\n");
        assert_eq!(machine.ok(MAIN_PID), pid);
        machine.ok(back);
        machine.ok(check);
        rounds += 1;
        // Somebody was told once of each, by nobody in particular.
        until("their being told", || {
            let all = [told("failed"), told("recovered")];
            (all == [rounds, rounds]).then_some(())
        });
    }
    let log = machine.ok("sudo journalctl -u 'claude-distill-relay-healthcheck-alert*' -o cat");
    assert!(log.contains("fails its health check; "), "{log}");
    assert!(log.contains("is well again; "), "{log}");
    assert!(!log.contains("; 0, ") && log.contains(", 0\n"), "{log}");
    // Also where the relay cannot use what stands beside the command.
    machine.ok(
        "sudo sed -i.good s/^RELAY_MAX_ROOMS=.*/RELAY_MAX_ROOMS=many/ /etc/claude-distill-relay/relay.env
        sudo systemctl start claude-distill-relay-healthcheck-alert@failed
        sudo mv /etc/claude-distill-relay/relay.env.good /etc/claude-distill-relay/relay.env",
    );
    until("a third time", || {
        (told("failed") == rounds + 1).then_some(())
    });
    // One that fails is tried again.
    let alert = "claude-distill-relay-healthcheck-alert@failed";
    machine.ok(&format!(
        "sudo touch /etc/out-of-reach
        sudo mkdir -p /run/systemd/system/{alert}.service.d
        printf '[Service]\\nRestartSec=1\\n' | sudo tee /run/systemd/system/{alert}.service.d/test.conf
        sudo systemctl daemon-reload"
    ));
    machine
        .run(&format!("sudo systemctl start {alert}"))
        .expect("nobody in reach", 1);
    machine.ok("sudo rm /etc/out-of-reach");
    until("another try", || {
        (told("failed") == rounds + 2).then_some(())
    });

    machine.ok(astray);
    fail("1\n");
    fail("2\n");
    machine.run(check).expect("a failure", 1);
    until("a restart", || {
        (machine.run(MAIN_PID).output != pid && machine.run(SHARE).status == 0).then_some(())
    });

    // One that was stopped stays so.
    machine.ok("sudo systemctl stop claude-distill-relay");
    for _ in 0..3 {
        machine.ok(check);
    }
    machine
        .run("systemctl is-active claude-distill-relay")
        .expect("stopped", 3);
}

#[test]
fn a_checkout_is_brought_up_to_date_and_built() {
    let machine = machine!();
    machine.ok(BUILD_FAKED);
    machine.ok("git config --global user.email op@example.com
        git config --global user.name op
        git config --global init.defaultBranch main
        printf '/target\\n.env.relay\\n' >.gitignore
        git init -q && git add . && git commit -qm one");
    let deploy = "./deploy/deploy-oneclick.local.sh example.com --no-nginx";
    let expect_source = |options: &str, expected: &str| {
        let output = machine.ok(&format!("{deploy} {options}"));
        assert!(step(&output, "source").contains(expected), "{output}");
    };
    expect_source("", "no remote");
    machine.ok("git clone -q --bare . /tmp/origin.git && git remote add origin /tmp/origin.git");
    expect_source("", "follows no branch");
    machine.ok("git fetch -q && git branch -q --set-upstream-to origin/main");
    expect_source("", "up to date");

    machine.ok("git clone -q /tmp/origin.git /tmp/other && cd /tmp/other &&
        echo '# more' >>.env.example && git commit -qam two && git push -q");
    expect_source("--dry-run", "would pull");
    machine.ok("echo >>Cargo.toml");
    expect_source("", "changes of its own");
    machine.ok("git checkout -q Cargo.toml");
    let output = machine.ok(deploy);
    assert!(step(&output, "source").starts_with("pulled"), "{output}");
    assert!(machine.ok("cat .env.example").contains("# more"));

    machine.ok("touch /tmp/cargo-fails");
    let output = machine.run(deploy).expect("a build that fails", 1);
    assert!(
        output.contains("no such crate") && output.contains("next:"),
        "{output}"
    );
    machine.ok("git remote set-url origin /nowhere");
    let output = machine.run(deploy).expect("a pull that fails", 1);
    assert!(
        output.contains("git cannot pull") && output.contains("--no-pull"),
        "{output}"
    );
}

#[test]
fn what_is_missing_is_named_with_the_command_that_brings_it() {
    let machine = machine!();
    let before = machine.fingerprint();
    let deploy = "./deploy/deploy-oneclick.local.sh example.com";
    let output = machine.run(deploy).expect("no compiler", 1);
    assert!(
        output.contains("sudo apt-get install -y build-essential;"),
        "{output}"
    );
    let output = machine
        .run(&format!("{deploy} --binary /nowhere"))
        .expect("no program", 1);
    assert!(output.contains("/nowhere"), "{output}");
    let output = machine
        .run(&format!("sudo {DEPLOY}"))
        .expect("under sudo", 1);
    assert!(output.contains("without sudo"), "{output}");
    assert_eq!(machine.fingerprint(), before);

    machine.ok("sudo rm /usr/sbin/nginx");
    for command in [DEPLOY.to_owned(), format!("{NGINX} relay.example.com")] {
        let output = machine.run(&command).expect("no nginx", 1);
        assert!(
            output.contains("apt-get install -y nginx-light"),
            "{output}"
        );
    }
}

#[test]
fn the_firewall_is_opened_where_that_is_asked_for() {
    let machine = machine!();
    let deploy = format!("{DEPLOY} --no-nginx --ufw");
    assert!(!machine.ok(DEPLOY).contains("ufw"));
    assert!(step(&machine.ok(&deploy), "ufw").starts_with("opened port 9784"));
    assert!(
        machine
            .root("ufw show added")
            .output
            .contains("allow 9784/tcp")
    );
    assert!(step(&machine.ok(&deploy), "ufw").starts_with("unchanged"));
}

#[test]
fn systemd_holds_the_port_where_it_is_told_to() {
    let machine = machine!();
    machine.ok(DEPLOY);
    machine.ok("sudo systemctl stop claude-distill-relay.service
        sudo systemctl enable --now claude-distill-relay.socket
        systemctl is-active claude-distill-relay.service && exit 1
        systemctl is-active claude-distill-relay.socket");
    // The first client starts it, and no restart refuses one.
    machine.ok(SHARE);
    machine.ok("for round in 1 2 3; do
            sudo systemctl restart --no-block claude-distill-relay.service
            for client in 1 2 3 4 5; do
                curl -sS -o /dev/null http://127.0.0.1:9784/ || exit
            done
        done");
    machine.ok(SHARE);
    // A deployment leaves it as it is.
    machine.ok(DEPLOY);
    machine.ok("systemctl is-active claude-distill-relay.socket");
}

/// Whether there is what makes a package, and the program that it is to have; says what is missing.
fn can_pack(program: &str) -> bool {
    let tools = ["cargo-deb", "dpkg-shlibdeps", "dpkg-deb"];
    // The programs of other packages are there where all packages are tested.
    let programs = [program, "relay-package"];
    let tool = tools.into_iter().find(|it| find(it).is_none());
    let missing = tool.or_else(|| programs.into_iter().find(|it| built(it).is_none()));
    if let Some(missing) = missing {
        skip(missing);
        return false;
    }
    !is_too_long()
}

#[test]
fn the_package_comes_and_goes() {
    if !can_pack("claude-distill-relay") {
        return;
    }
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for version in ["1.0-1", "1.1-1"] {
        let built = Command::new(source("deploy/build-deb.sh"))
            .args(["--fast", "--deb-version", version, "--output"])
            .arg(folder.path().join(format!("{version}.deb")))
            .env("RELAY_PROFILE", "dev")
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:#?}");
    }
    let Some(machine) = Machine::boot_with(folder.path()) else {
        return;
    };
    let share = "python3 /opt/share.py ws://127.0.0.1:9784/";
    let settings = "/etc/claude-distill-relay/relay.env";

    // Not over a deployment of the script's, nor through a link that one has left.
    machine.ok("sudo touch /etc/systemd/system/claude-distill-relay.service
        sudo mkdir /etc/claude-distill-relay
        sudo ln -s $PWD/.env.relay /etc/claude-distill-relay/relay.env");
    let refused = machine.run("sudo dpkg -i /opt/1.0-1.deb");
    assert_ne!(refused.status, 0, "{refused:?}");
    assert!(refused.output.contains("--uninstall"), "{refused:?}");
    machine.ok("sudo rm /etc/systemd/system/claude-distill-relay.service");

    machine.ok("sudo dpkg -i /opt/1.0-1.deb");
    machine.ok("test ! -e .env.relay && test ! -L /etc/claude-distill-relay/relay.env");
    machine.ok(share);
    machine.ok("systemctl is-enabled claude-distill-relay claude-distill-relay-healthcheck.timer");
    machine.ok("sudo systemctl start claude-distill-relay-healthcheck");
    assert_eq!(
        machine
            .ok("systemd-analyze verify claude-distill-relay.service claude-distill-relay.socket"),
        ""
    );
    let conffiles = machine.ok("dpkg-query -W -f '${Conffiles}' claude-distill-relay");
    assert_eq!(conffiles.split_whitespace().next(), Some(settings));
    let listed = machine.ok("dpkg -L claude-distill-relay");
    for file in [
        "/usr/bin/claude-distill-relay",
        "/usr/share/man/man1/claude-distill-relay.1.gz",
        "/usr/share/man/man1/claude-distill-relay-block.1.gz",
        "/usr/share/man/man1/claude-distill-relay-check.1.gz",
        "/usr/share/bash-completion/completions/claude-distill-relay",
        "/usr/share/zsh/vendor-completions/_claude-distill-relay",
        "/usr/share/fish/vendor_completions.d/claude-distill-relay.fish",
        "/usr/share/doc/claude-distill-relay/deploy/README.ko.md",
    ] {
        assert!(
            listed.lines().any(|line| line == file),
            "no {file} in\n{listed}"
        );
    }
    let refused = machine.run(DEPLOY).expect("both ways at once", 1);
    assert!(refused.contains("Debian package"), "{refused}");

    // An upgrade keeps the settings, and restarts the relay with them.
    let (pid, mine) = (machine.ok(MAIN_PID), "RELAY_MAX_ROOMS=7");
    machine.ok(&format!(
        "sudo sed -i s/^RELAY_MAX_ROOMS=.*/{mine}/ {settings}
        sudo chmod 640 {settings}"
    ));
    machine.ok("sudo dpkg -i /opt/1.1-1.deb");
    // Older versions had shipped them so, and the relay could not read them now.
    assert_eq!(machine.ok(&format!("stat -c %a {settings}")), "644\n");
    machine.ok(share);
    assert_ne!(machine.ok(MAIN_PID), pid);
    assert!(machine.ok(&format!("sudo cat {settings}")).contains(mine));

    // Removed, it leaves the settings, and comes back with them.
    machine.ok("sudo dpkg -r claude-distill-relay");
    machine
        .run("systemctl is-active claude-distill-relay")
        .expect("stopped", 3);
    assert!(machine.ok(&format!("sudo cat {settings}")).contains(mine));
    machine.ok("sudo dpkg -i /opt/1.1-1.deb");
    machine.ok(share);

    // Purged, it leaves nothing.
    machine.ok("sudo dpkg -P claude-distill-relay");
    let left = "sudo find / -xdev -name '*claude-distill-relay*' ! -path '/opt/*' ! -path '/home/*' \
        ! -path '/proc/*' ! -path '/var/log/*'";
    assert_eq!(machine.ok(left), "");
}

#[test]
fn distill_has_a_package_of_its_own() {
    if !can_pack("distill") {
        return;
    }
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let package = folder.path().join("distill.deb");
    let built = Command::new(source("deploy/build-deb.sh"))
        .args(["--fast", "--output"])
        .arg(&package)
        .env("RELAY_PROFILE", "dev")
        .env("DISTILL", "1")
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:#?}");
    let unpacked = folder.path().join("unpacked");
    let told = Command::new("dpkg-deb")
        .arg("-x")
        .args([&package, &unpacked])
        .status();
    assert!(told.unwrap().success());
    for file in [
        "usr/share/man/man1/distill.1.gz",
        "usr/share/man/man1/distill-share.1.gz",
        "usr/share/man/man1/distill-receive.1.gz",
        "usr/share/man/man1/distill-sessions.1.gz",
        "usr/share/bash-completion/completions/distill",
        "usr/share/zsh/vendor-completions/_distill",
        "usr/share/fish/vendor_completions.d/distill.fish",
        "usr/share/doc/distill/SHARING.md",
    ] {
        assert!(unpacked.join(file).exists(), "no {file}");
    }
    let version = Command::new(unpacked.join("usr/bin/distill"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(version.stdout.starts_with(b"distill "), "{version:?}");
}

#[test]
fn a_user_runs_a_relay_without_root() {
    let machine = machine!();
    let systemctl = "export XDG_RUNTIME_DIR=/run/user/1000; systemctl --user";
    machine.root("loginctl enable-linger op");
    until("the user's systemd", || {
        machine
            .run(&format!("{systemctl} is-system-running"))
            .output
            .contains("running")
            .then_some(())
    });
    machine.ok(&format!(
        "install -D /opt/claude-distill-relay ~/.local/bin/claude-distill-relay
        install -D -m 644 deploy/claude-distill-relay.user.service \
            ~/.config/systemd/user/claude-distill-relay.service
        mkdir -p ~/.config/claude-distill-relay
        echo RELAY_PORT=9790 >~/.config/claude-distill-relay/relay.env
        {systemctl} daemon-reload
        {systemctl} enable --now claude-distill-relay
        python3 /opt/share.py ws://127.0.0.1:9790/
        {systemctl} reload claude-distill-relay
        python3 /opt/share.py ws://127.0.0.1:9790/"
    ));
    machine.ok(&format!(
        "{systemctl} restart claude-distill-relay; {systemctl} stop claude-distill-relay"
    ));
    let result = machine.ok(&format!(
        "{systemctl} show --value -p Result claude-distill-relay"
    ));
    assert_eq!(result, "success\n");
}

#[test]
fn the_scripts_read_a_setting_as_the_relay_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    let arguments = ["relay".as_ref(), "--env-file".as_ref(), file.as_os_str()];
    let flags = config::command().try_get_matches_from(arguments).unwrap();
    for (line, seconds) in [
        ("RELAY_STALL_TIMEOUT=90", Some(90)),
        ("RELAY_STALL_TIMEOUT=90s", Some(90)),
        ("RELAY_STALL_TIMEOUT=2m", Some(120)),
        ("RELAY_STALL_TIMEOUT=1h30m", Some(5400)),
        ("RELAY_STALL_TIMEOUT=\"1H30M\"", Some(5400)),
        ("RELAY_STALL_TIMEOUT=08m", Some(480)),
        ("RELAY_STALL_TIMEOUT=1d", Some(86_400)),
        ("RELAY_STALL_TIMEOUT=00000000000090", Some(90)),
        ("RELAY_STALL_TIMEOUT = 90", Some(90)),
        ("  export  RELAY_STALL_TIMEOUT  =  '90'", Some(90)),
        ("RELAY_STALL_TIMEOUT=90 # of them", Some(90)),
        ("RELAY_STALL_TIMEOUT=\"90\" # of them", Some(90)),
        ("RELAY_STALL_TIMEOUT=90\nRELAY_STALL_TIMEOUT=91", Some(91)),
        ("#RELAY_STALL_TIMEOUT=90", Some(60)),
        ("RELAY_STALL_TIMEOUT=", None),
        ("RELAY_STALL_TIMEOUT=#90", None),
        ("RELAY_STALL_TIMEOUT=90#", None),
        ("RELAY_STALL_TIMEOUT=0", None),
        ("RELAY_STALL_TIMEOUT=+90", None),
        ("RELAY_STALL_TIMEOUT=soon", None),
        ("RELAY_STALL_TIMEOUT=1h30", None),
        ("RELAY_STALL_TIMEOUT=99999999999999999999", None),
    ] {
        std::fs::write(&file, format!("{line}\n")).unwrap();
        let of_relay = config::load(&flags).map(|settings| settings.config.stall_timeout);
        assert_eq!(of_relay.ok().map(|it| it.as_secs()), seconds, "{line}");
        // What the relay refuses never comes to be.
        let seconds = seconds.unwrap_or(60).to_string();
        let read = "settings=$2; seconds RELAY_STALL_TIMEOUT 60";
        assert_eq!(common(read, &file), seconds, "{line}");
    }
    // And so a setting that is there is not added.
    std::fs::write(&file, "RELAY_PORT = 9000 # mine\n").unwrap();
    assert_eq!(
        common("settings=$2; setting RELAY_PORT 9784", &file),
        "9000"
    );
    assert_eq!(common("settings=$2; number RELAY_PORT 9784", &file), "9000");
    std::fs::write(folder.path().join("empty"), "").unwrap();
    let all = common("lacking \"$2\"", &folder.path().join("empty"));
    assert!(all.contains("\nRELAY_PORT=9784\n"), "{all}");
    let lacking = common("lacking \"$2\"", &file);
    assert!(!lacking.contains("RELAY_PORT"), "{lacking}");
    assert!(lacking.contains("\nRELAY_HOST=127.0.0.1\n"), "{lacking}");
}

#[test]
fn the_longest_message_of_earlier_versions_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    for (line, warned) in [
        ("RELAY_MAX_MSG_SIZE=10485760", true),
        ("export RELAY_MAX_MSG_SIZE = 10485760 # bytes", true),
        ("RELAY_MAX_MSG_SIZE=0", false),
        ("RELAY_MAX_MSG_SIZE=104857600", false),
        ("RELAY_MAX_RECEIVER_MSG_SIZE=10485760", false),
    ] {
        std::fs::write(&file, line).unwrap();
        let said = common("settings=$2; warn_of_old_limit", &file);
        assert_eq!(said.contains("set it to 0"), warned, "{line}: {said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), line);
    }
}

#[test]
fn keys_in_full_are_warned_of_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    for (value, named) in [
        ("alice:0123456789abcdef", "(alice)"),
        (
            "\"alice:sha256-00, bob:0123456789abcdef ,carol:fedcba9876543210\"",
            "(bob carol)",
        ),
        ("alice:sha256-00,check:0123456789abcdef", ""),
        ("/etc/relay:keys", ""),
        ("", ""),
    ] {
        std::fs::write(&file, format!("RELAY_ACCESS_KEYS={value}")).unwrap();
        let said = common("settings=$2; warn_of_plain_keys", &file);
        assert_eq!(
            said.contains("sha256-HEX"),
            !named.is_empty(),
            "{value}: {said}"
        );
        assert!(
            said.contains(named) && !said.contains("0123456789abcdef"),
            "{said}"
        );
    }
}

/// What the functions that the scripts share print for a file.
fn common(script: &str, file: &Path) -> String {
    let said = Command::new("bash")
        .args(["-euc", &format!("source \"$1\"; {script}"), "bash"])
        .args([&source("deploy/common.sh"), file])
        .output()
        .unwrap();
    assert!(said.status.success(), "{script}: {said:?}");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[test]
fn the_scripts_are_clean() {
    let scripts: Vec<_> = ["deploy", "deploy/debian", "scripts", "tests/deploy"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(source(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .filter(|path| path.extension().is_none_or(|end| end == "sh"))
        .collect();
    assert!(scripts.len() >= 8, "{scripts:?}");
    for (tool, arguments) in [("shellcheck", [].as_slice()), ("shfmt", &["-d"])] {
        if find(tool).is_none() {
            skip(tool);
            continue;
        }
        let output = Command::new(tool)
            .args(arguments)
            .args(&scripts)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{tool}:\n{said}");
    }
}

/// A block of commands in a guide, and what stands above it.
#[derive(Debug, PartialEq)]
struct Block {
    mark: String,
    commands: String,
}

/// The blocks of commands in a guide.
fn blocks(guide: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(source(guide)).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let begins = (0..lines.len()).filter(|&line| lines[line] == "```sh");
    begins
        .map(|begin| Block {
            mark: lines[begin - 1].to_owned(),
            commands: lines[begin + 1..]
                .iter()
                .take_while(|line| !line.starts_with("```"))
                .fold(String::new(), |commands, line| commands + line + "\n"),
        })
        .collect()
}

#[test]
fn every_command_of_the_guide_works() {
    let guide = blocks("deploy/README.md");
    assert!(guide.len() > 20, "{guide:#?}");
    for block in &guide {
        let says_why = block.mark.starts_with("<!-- needs: ");
        assert!(block.mark == "<!-- run -->" || says_why, "{block:#?}");
    }
    let machine = machine!();
    machine.ok(BUILD_FAKED);
    for block in guide.iter().filter(|block| block.mark == "<!-- run -->") {
        // It is the last thing there.
        if block.commands.contains("--uninstall") {
            machine.ok(SHARE);
        }
        for command in block.commands.lines() {
            let ended = machine.run(command);
            // For `check`, the tunnel that is not there is worth a warning.
            let warned = command.contains("relay check") && ended.status == 1;
            assert!(warned || ended.status == 0, "{command}: {ended:#?}");
        }
    }
    machine.ok("test ! -e /usr/local/bin/claude-distill-relay");
}

/// It goes to the public name, which here is nginx's, without TLS.
#[test]
fn the_python_of_the_guide_shares_through_nginx() {
    let guide = std::fs::read_to_string(source("deploy/README.md")).unwrap();
    let (_, script) = guide.split_once("```sh\npython3 - ").expect("the block");
    let (script, _) = script.split_once("```").unwrap();
    let machine = machine!();
    machine.ok(DEPLOY);
    let printed = machine.ok(&format!("python3 - {}", script.replace("wss://", "ws://")));
    assert_eq!(
        printed,
        "ROOM_JOINED PEER_JOINED\ncame through\ncame through\n"
    );
}

#[test]
fn both_guides_have_the_same_parts_and_commands() {
    let (english, korean) = (blocks("deploy/README.md"), blocks("deploy/README.ko.md"));
    assert_eq!(english.len(), korean.len());
    for (english, korean) in english.iter().zip(&korean) {
        assert_eq!(english.commands, korean.commands);
        assert_eq!(
            english.mark == "<!-- run -->",
            korean.mark == "<!-- run -->"
        );
    }
    for guide in ["deploy/README.md", "deploy/README.ko.md"] {
        let text = std::fs::read_to_string(source(guide)).unwrap();
        let parts = text.lines().filter(|line| line.starts_with("## ")).count();
        assert_eq!(parts, 14, "{guide}");
    }
}
