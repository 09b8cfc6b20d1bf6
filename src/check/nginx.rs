//! nginx on the relay's own machine: its opinion of its configuration, and whether our site in it fits
//! the relay's settings. The site is what `deploy/setup-nginx-relay.sh` writes; with any other there is
//! nothing to compare.

use std::{fs, io::ErrorKind, path::PathBuf, time::Duration};

use super::{
    note::Note,
    program::{first_line, output},
    public::Public,
    site::Sites,
    target::Target,
};
use crate::config::Config;

/// What stands before the name of each file in the output of `nginx -T`.
const FILE: &str = "# configuration file ";
/// The folders of sites: Debian's, and that of nginx's own packages.
const SITES: [&str; 2] = ["/etc/nginx/sites-enabled", "/etc/nginx/conf.d"];

/// What nginx calls its workers, and the process that they are children of.
const WORKER: &str = "nginx: worker process";
const MASTER: &str = "nginx: master process";
/// nginx's own limit where nothing else is said.
const DEFAULT_CONNECTIONS: usize = 512;
/// Connections that are left to other sites, and to those whom nginx only refuses.
const SPARE: usize = 512;

/// What nginx has to say.
enum Said {
    /// There is none here.
    Absent,
    /// Its configuration can be used.
    Passed,
    /// It cannot, or nothing can be known of it.
    Trouble(Note),
}

/// The nginx of this machine.
pub(super) struct Nginx {
    said: Said,
    /// The sites in its configuration.
    pub(super) sites: Sites,
}

/// Asks nginx.
pub(super) async fn ask(limit: Duration) -> Nginx {
    let (said, dump) = said(limit).await;
    let sites = match (&said, dump) {
        (Said::Absent, _) => Sites::default(),
        (_, Some(dump)) => Sites::read(parts(&dump)),
        (_, None) => Sites::read(files().iter().map(String::as_str)),
    };
    Nginx { said, sites }
}

/// The files in what nginx prints, without the lines that name them.
fn parts(dump: &str) -> impl Iterator<Item = &str> {
    let files = dump.split(FILE);
    files.filter_map(|file| Some(file.split_once('\n')?.1))
}

/// What it says, and all of its configuration where that can be used.
async fn said(limit: Duration) -> (Said, Option<String>) {
    // Where Debian has it, which is not in everyone's PATH.
    for program in ["nginx", "/usr/sbin/nginx"] {
        match output(program, &["-T"], limit).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let note = Note::warn(format!("nginx -t cannot be run: {error}"));
                return (Said::Trouble(note.next("sudo nginx -t")), None);
            }
            Ok(output) if output.status.success() => {
                let dump = String::from_utf8_lossy(&output.stdout).into_owned();
                return (Said::Passed, Some(dump));
            }
            Ok(output) => return (Said::Trouble(judge_failure(&output.stderr)), None),
        }
    }
    (Said::Absent, None)
}

/// The files of the sites themselves, where nginx does not print them: as far as this user may read them.
fn files() -> Vec<String> {
    let folders = SITES.iter().filter_map(|folder| fs::read_dir(folder).ok());
    let entries = folders.flatten().filter_map(Result::ok);
    entries
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect()
}

impl Nginx {
    /// What there is to say of it; `config` are the settings of the relay behind it, if they can be used.
    pub(super) fn judge(&self, config: Option<&Config>, public: Option<&Public>) -> Note {
        let deployed = public.filter(|public| public.deployed);
        match (&self.said, config) {
            (Said::Absent, _) => match deployed {
                Some(public) => Note::fail("there is no nginx here any more")
                    .means(format!(
                        "{} was set up in it: clients meet nobody",
                        public.name()
                    ))
                    .next("sudo apt-get install -y nginx-light; deploy/setup-nginx-relay.sh"),
                None => Note::skip("no nginx here"),
            },
            (Said::Trouble(note), _) => note.clone(),
            (Said::Passed, None) => passed(),
            (Said::Passed, Some(config)) => {
                if self.sites.has(config, public.map(Public::name)) {
                    compare(&self.sites, open_files(), config)
                } else {
                    without_site(deployed.map(Public::name), runs(), config.port)
                }
            }
        }
    }

    /// The ways through it to the relay, as far as it has to do with the relay at all.
    pub(super) fn ways(&self, config: &Config, public: Option<&Public>) -> Vec<Target> {
        let deployed = public.is_some_and(|public| public.deployed);
        let here = !matches!(self.said, Said::Absent);
        if here && (deployed || self.sites.has(config, None)) {
            self.sites.ways(config, public.map(Public::name))
        } else {
            Vec::new()
        }
    }
}

/// What it means that no site leads to the relay: for one of the name `deployed`, or of none that is known.
fn without_site(deployed: Option<&str>, runs: bool, port: u16) -> Note {
    match deployed {
        Some(name) => Note::fail(format!(
            "the relay's site is gone: {name} is in no site of nginx's"
        ))
        .means("it was removed or disabled: clients meet another site, or none")
        .next("deploy/setup-nginx-relay.sh, which puts it back"),
        None if runs => Note::warn(format!(
            "no site of nginx's leads to the relay's port {port}"
        ))
        .means("clients that come through nginx meet another site, or none")
        .next("deploy/setup-nginx-relay.sh; or check --relay-only, where nginx is only for others"),
        None => Note::skip("nginx is installed, but does not run, and has no site for the relay"),
    }
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
        .next("that line mended, then sudo nginx -t && sudo nginx -s reload")
}

/// Holds our site in nginx's configuration against the relay's. `files`: what a worker may open, if
/// one runs.
fn compare(sites: &Sites, files: Option<usize>, config: &Config) -> Note {
    let Some(site) = sites.ours() else {
        return passed();
    };
    let set_up = "deploy/setup-nginx-relay.sh";
    let port = config.port;
    if sites.pass(site, config).is_none() {
        return Note::fail(format!("its site does not pass on to port {port}"))
            .means("RELAY_PORT has changed since the site was written: clients get 502")
            .next(format!("{set_up}, which writes it anew"));
    }
    let connections = sites.connections.unwrap_or(DEFAULT_CONNECTIONS);
    let most = files.map_or(connections, |files| files.min(connections));
    let sessions = config.max_sessions;
    // One connection to the client and one to the relay, and all may fall to one process.
    if most < 2 * sessions + SPARE {
        let full = most / 2;
        return Note::warn(format!(
            "it may be full at {full} sessions, and RELAY_MAX_SESSIONS is {sessions}"
        ))
        .means(format!(
            "all is well until so many are connected, and then nginx answers everybody with 500: \
             worker_connections is {connections}, and a worker of it may open {} files",
            files.map_or("unknown".to_owned(), |files| files.to_string())
        ))
        .next(format!("{set_up} --limits, or a lower RELAY_MAX_SESSIONS"));
    }
    let stall = config.stall_timeout;
    if site.patience.is_some_and(|patience| patience < stall) {
        return Note::warn(format!(
            "its send_timeout is shorter than RELAY_STALL_TIMEOUT, {} s",
            stall.as_secs()
        ))
        .means("nginx ends clients that the relay would still wait for")
        .next(format!("{set_up}, which writes it anew"));
    }
    if !site.is_limited {
        return Note::warn("its site has no limit_conn any more")
            .means("one client address may take all of nginx's connections")
            .next(format!("{set_up}, which writes it anew"));
    }
    Note::ok("its configuration passes nginx -t, and fits the relay's")
}

/// The files that the worker of nginx's with the fewest may open, where one runs.
fn open_files() -> Option<usize> {
    let workers = processes(WORKER);
    let limits = workers.filter_map(|path| fs::read_to_string(path.join("limits")).ok());
    let files = limits.filter_map(|limits| {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        line?.split_whitespace().next()?.parse().ok()
    });
    files.min()
}

/// Whether one runs.
fn runs() -> bool {
    processes(MASTER).next().is_some()
}

/// What /proc has of the processes of this title.
fn processes(title: &str) -> impl Iterator<Item = PathBuf> {
    let all = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    all.map(|process| process.path()).filter(move |path| {
        fs::read(path.join("cmdline")).is_ok_and(|line| line.starts_with(title.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::note::Status::{Fail, Ok as Fine, Skip, Warn};

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
    fn a_site_that_is_gone_is_missed_where_nginx_is_for_the_relay() {
        for (deployed, runs, status) in [
            (Some("relay.example.com"), true, Fail),
            (Some("relay.example.com"), false, Fail),
            (None, true, Warn),
            (None, false, Skip),
        ] {
            assert_eq!(without_site(deployed, runs, 9784).status, status);
        }
    }

    #[test]
    fn our_site_must_fit_the_settings_and_no_other_is_looked_at() {
        let config = Config {
            max_sessions: 100,
            ..Config::default()
        };
        let dump = |connections: usize, port: u16, timeout: &str| {
            format!(
                "# configuration file /etc/nginx/nginx.conf:\nevents {{ worker_connections {connections}; }}\n\
                 # configuration file /etc/nginx/sites-enabled/relay:\n\
                 server {{ limit_conn claude_distill_relay 9; send_timeout {timeout};\n\
                 location / {{ proxy_pass http://127.0.0.1:{port}/; }} }}\n"
            )
        };
        let compare = |dump: &str, files, config: &Config| {
            super::compare(&Sites::read(parts(dump)), files, config)
        };
        for (connections, files, port, timeout, status) in [
            (712, Some(712), 9784, "2m", Fine),
            (712, None, 9784, "60s", Fine),
            (711, Some(10_000), 9784, "120", Warn),
            (10_000, Some(711), 9784, "120", Warn),
            (10_000, None, 9784, "59s", Warn),
            (10_000, None, 9785, "120s", Fail),
        ] {
            let note = compare(&dump(connections, port, timeout), files, &config);
            assert_eq!(note.status, status, "{}", note.detail);
        }
        let unlimited = dump(712, 9784, "120s").replace("limit_conn claude", "log_format claude");
        assert_eq!(compare(&unlimited, None, &config).status, Warn);
        let other =
            "# configuration file /etc/nginx/nginx.conf:\nevents { worker_connections 1; }\n";
        assert_eq!(compare(other, Some(1), &config).status, Fine);
    }

    #[test]
    fn the_deployment_asks_for_as_many_connections_as_this_does() {
        let script = include_str!("../../deploy/setup-nginx-relay.sh");
        let needed = format!("connections_needed=$((2 * sessions + {SPARE}))\n");
        assert!(script.contains(&needed), "no {needed}");
        let compared = "((connections >= connections_needed && files >= connections_needed))";
        assert!(script.contains(compared), "no {compared}");
    }
}
