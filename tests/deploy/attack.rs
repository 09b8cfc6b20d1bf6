//! The deployed path as a whole, attacked for a minute: who uses it meanwhile notices nothing, and
//! afterwards nothing of the attack is left.

use std::{thread, time::Duration};

use crate::{
    DEPLOY,
    machine::{Machine, source, until},
};

/// What may still be in use some time after the attack and was not before it: connections of nginx's
/// that have just been used, say.
const SLACK: usize = 4;
/// Memory that a relay at rest may have beyond what it began with, in KiB.
const KEPT: usize = 10 * 1024;

/// What is in use on the machine.
#[derive(Debug)]
struct InUse {
    /// The relay's gauges.
    gauges: Vec<(String, usize)>,
    /// Files that the relay has open.
    files: usize,
    /// Sockets of nginx's workers.
    sockets: usize,
    /// Memory of the relay, in KiB.
    memory: usize,
}

impl InUse {
    fn of(machine: &Machine) -> Self {
        let number = |script: &str| {
            let said = machine.root(script).expect(script, 0);
            let number = said.trim().parse();
            number.unwrap_or_else(|_| panic!("{script}: {said}"))
        };
        let metrics = machine.ok("curl -sS http://127.0.0.1:9784/metrics");
        let gauges = ["sessions", "rooms", "in_flight_bytes", "buffered_bytes"];
        let gauges = gauges.map(|gauge| {
            let name = format!("relay_{gauge} ");
            let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
            (gauge.to_owned(), value.unwrap().parse().unwrap())
        });
        let pid = "$(systemctl show --value -p MainPID claude-distill-relay)";
        Self {
            gauges: gauges.into(),
            files: number(&format!("ls /proc/{pid}/fd | wc -l")),
            // Some processes and files are gone before they are looked at: nobody needs to be told.
            sockets: number(
                "for process in /proc/[0-9]*; do
                    [ \"$(cat $process/comm)\" = nginx ] && ls -l $process/fd; done 2>/dev/null \
                    | grep -c socket:",
            ),
            memory: number(&format!("awk '/^VmRSS/ {{print $2}}' /proc/{pid}/status")),
        }
    }

    fn is_no_more_than(&self, before: &Self) -> bool {
        self.gauges == before.gauges
            && self.files <= before.files + SLACK
            && self.sockets <= before.sockets + SLACK
            && self.memory <= before.memory + KEPT
    }
}

#[test]
fn an_attacked_relay_serves_its_users_and_is_then_as_before() {
    let Some(machine) = Machine::boot_with(&source("tests/deploy")) else {
        return;
    };
    // Every one of these is over within the pause below.
    machine.ok("printf 'RELAY_REQUEST_TIMEOUT=3\\nRELAY_PING_INTERVAL=2\\nRELAY_PING_TIMEOUT=3\\n' >.env.relay");
    machine.ok(DEPLOY);
    machine.ok("for host in 2 3; do sudo ip addr add 192.0.2.$host/32 dev lo; done");
    // Its first users have come, so that what it keeps for the next ones is there.
    machine.ok("python3 /opt/share.py ws://relay.example.com/");
    let before = InUse::of(&machine);

    thread::scope(|scope| {
        // In the middle of it everything stands still for a while, as on a suspended host.
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(30));
            machine.ok("sudo systemctl kill -s STOP claude-distill-relay; sleep 6
                sudo systemctl kill -s CONT claude-distill-relay");
        });
        let said = machine.ok("python3 /opt/attack.py 60 192.0.2.2 192.0.2.3 +203.0.113.9 +home");
        println!("{said}");
    });
    let mut after = InUse::of(&machine);
    until("all to be as before", || {
        after = InUse::of(&machine);
        println!("{after:?} for {before:?}");
        after.is_no_more_than(&before).then_some(())
    });
    // It was an attack.
    let metrics = machine.ok("curl -sS http://127.0.0.1:9784/metrics");
    for counted in [
        r#"relay_sessions_ended_total{reason="control_flood"}"#,
        r#"relay_refused_total{reason="room_not_found"}"#,
        r#"relay_handshakes_refused_total{reason="bad_handshake"}"#,
    ] {
        let mut lines = metrics
            .lines()
            .filter_map(|line| line.strip_prefix(counted));
        assert_ne!(lines.next().unwrap().trim(), "0", "{counted}");
    }
    machine.ok("sudo test -s /var/log/claude-distill-relay/access.log");
    let secrets = machine.root("grep -r secret=1 /var/log/nginx /var/log/claude-distill-relay");
    assert_eq!(secrets.output, "");
    let restarts = machine.ok("systemctl show --value -p NRestarts claude-distill-relay");
    assert_eq!(restarts.trim(), "0");
    machine.ok("python3 /opt/share.py ws://relay.example.com/");
}
