//! nginx on the relay's own machine: its opinion of its configuration, and whether our site in it fits
//! the relay's settings. The site is what `deploy/setup-nginx-relay.sh` writes; with any other there is
//! nothing to compare.

use std::{fs, io::ErrorKind, str::FromStr, time::Duration};

use super::{
    note::Note,
    program::{first_line, output},
};
use crate::config::Config;

/// A name that only our site has.
const OURS: &str = "claude_distill_relay";
/// What nginx calls its workers.
const WORKER: &[u8] = b"nginx: worker process";
/// nginx's own limit where nothing else is said.
const DEFAULT_CONNECTIONS: usize = 512;
/// Connections that are left to other sites, and to those whom nginx only refuses.
const SPARE: usize = 512;

/// Asks nginx; `config` are the settings of the relay behind it, if they can be used.
pub(super) async fn nginx(config: Option<&Config>, limit: Duration) -> Note {
    // Where Debian has it, which is not in everyone's PATH.
    for program in ["nginx", "/usr/sbin/nginx"] {
        match output(program, &["-T"], limit).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Note::warn(format!("nginx -t cannot be run: {error}"))
                    .next("sudo nginx -t");
            }
            Ok(output) if output.status.success() => {
                let dump = String::from_utf8_lossy(&output.stdout);
                return config.map_or_else(passed, |config| compare(&dump, open_files(), config));
            }
            Ok(output) => return judge_failure(&output.stderr),
        }
    }
    Note::skip("no nginx here")
}

fn passed() -> Note {
    Note::ok("its configuration passes nginx -t")
}

fn judge_failure(said: &[u8]) -> Note {
    let text = String::from_utf8_lossy(said);
    if text.contains("Permission denied") {
        return Note::warn("its configuration can only be tested as root").next("sudo nginx -t");
    }
    let emergency = text.lines().find(|line| line.contains("[emerg]"));
    Note::fail(emergency.map_or_else(|| first_line(said), str::to_owned))
        .means("nginx runs on with what it had, but will not start or reload with this")
        .next("that line mended, then sudo nginx -t && sudo systemctl reload nginx")
}

/// Holds a configuration, as `nginx -T` prints it, against the relay's. `files`: what a worker may open, if
/// one runs.
fn compare(dump: &str, files: Option<usize>, config: &Config) -> Note {
    let mut parts = dump.split("# configuration file ");
    let Some(site) = parts.find(|part| part.contains(OURS)) else {
        return passed();
    };
    let set_up = "deploy/setup-nginx-relay.sh";
    let port = config.port;
    if !site.contains(&format!("proxy_pass http://127.0.0.1:{port}/;")) {
        return Note::fail(format!("its site does not pass on to port {port}"))
            .means("RELAY_PORT has changed since the site was written: clients get 502")
            .next(format!("{set_up}, which writes it anew"));
    }
    let connections = value(dump, "worker_connections").unwrap_or(DEFAULT_CONNECTIONS);
    let most = files.map_or(connections, |files| files.min(connections));
    let sessions = config.max_sessions;
    // One connection to the client and one to the relay, and all may fall to one process.
    if most < 2 * sessions + SPARE {
        let full = most / 2;
        return Note::warn(format!(
            "it may be full at {full} sessions, and RELAY_MAX_SESSIONS is {sessions}"
        ))
        .means(format!(
            "worker_connections is {connections}, and a worker of it may open {} files",
            files.map_or("unknown".to_owned(), |files| files.to_string())
        ))
        .next(format!("{set_up} --limits, or a lower RELAY_MAX_SESSIONS"));
    }
    let stall = config.stall_timeout;
    let patience = value(site, "send_timeout").map(Duration::from_secs);
    if patience.is_some_and(|patience| patience < stall) {
        return Note::warn(format!(
            "its send_timeout is shorter than RELAY_STALL_TIMEOUT, {} s",
            stall.as_secs()
        ))
        .means("nginx ends clients that the relay would still wait for")
        .next(format!("{set_up}, which writes it anew"));
    }
    Note::ok("its configuration passes nginx -t, and fits the relay's")
}

/// The value that a directive has last; times in seconds.
fn value<T: FromStr>(text: &str, directive: &str) -> Option<T> {
    let lines = text.lines().rev();
    let mut values = lines.filter_map(|line| line.trim_start().strip_prefix(directive));
    values.find_map(|value| {
        let value = value.trim().split(';').next()?;
        value.trim_end_matches('s').parse().ok()
    })
}

/// The files that the worker of nginx's with the fewest may open, where one runs.
fn open_files() -> Option<usize> {
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let workers = processes
        .map(|process| process.path())
        .filter(|path| fs::read(path.join("cmdline")).is_ok_and(|line| line.starts_with(WORKER)));
    let limits = workers.filter_map(|path| fs::read_to_string(path.join("limits")).ok());
    let files = limits.filter_map(|limits| {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        line?.split_whitespace().next()?.parse().ok()
    });
    files.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::note::Status::{Fail, Ok as Fine, Warn};

    #[test]
    fn nginx_says_which_line_is_wrong_or_that_it_may_not_look() {
        let said = b"nginx: [warn] x\nnginx: [emerg] unknown directive \"a\" in /etc/nginx/b:3\n";
        let note = judge_failure(said);
        assert_eq!(note.status, Fail);
        assert!(
            note.detail.ends_with("in /etc/nginx/b:3"),
            "{}",
            note.detail
        );
        let denied = b"nginx: [emerg] open() \"/run/nginx.pid\" failed (13: Permission denied)\n";
        assert_eq!(judge_failure(denied).status, Warn);
    }

    #[test]
    fn our_site_must_fit_the_settings_and_no_other_is_looked_at() {
        let config = Config {
            max_sessions: 100,
            ..Config::default()
        };
        let dump = |connections: usize, port: u16, timeout: u64| {
            format!(
                "# configuration file /etc/nginx/nginx.conf:\n  worker_connections {connections};\n\
                 # configuration file /etc/nginx/sites-enabled/relay:\n\
                 limit_conn_zone $claude_distill_relay_client zone=a:4m;\n  send_timeout {timeout}s;\n\
                 proxy_pass http://127.0.0.1:{port}/;\n"
            )
        };
        for (connections, files, port, timeout, status) in [
            (712, Some(712), 9784, 120, Fine),
            (712, None, 9784, 60, Fine),
            (711, Some(10_000), 9784, 120, Warn),
            (10_000, Some(711), 9784, 120, Warn),
            (10_000, None, 9784, 59, Warn),
            (10_000, None, 9785, 120, Fail),
        ] {
            let note = compare(&dump(connections, port, timeout), files, &config);
            assert_eq!(note.status, status, "{}", note.detail);
        }
        let other = "# configuration file /etc/nginx/nginx.conf:\n worker_connections 1;\n";
        assert_eq!(compare(other, Some(1), &config).status, Fine);
    }
}
