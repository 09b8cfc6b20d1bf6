//! What stands around a relay on its own machine: its systemd unit and the tunnel's service. What is not
//! there is skipped; what may not be looked at is a warning.

use std::time::Duration;

use super::{
    note::Note,
    program::{first_line, has_systemd, output},
};

const RELAY: &str = "claude-distill-relay.service";
const TUNNEL: &str = "cloudflared.service";

/// The state of a unit, as `systemctl show` tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unit {
    load: String,
    active: String,
    sub: String,
    restarts: u32,
}

impl Unit {
    fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "LoadState" => value.clone_into(&mut unit.load),
                "ActiveState" => value.clone_into(&mut unit.active),
                "SubState" => value.clone_into(&mut unit.sub),
                "NRestarts" => unit.restarts = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        unit
    }

    fn state(&self) -> String {
        format!("{} ({})", self.active, self.sub)
    }
}

/// The relay's unit. `works`: whether the relay does its work, however it was started.
pub(super) async fn unit(works: bool, limit: Duration) -> Note {
    if let Some(note) = without_systemd() {
        return note;
    }
    let mut unit = match show(RELAY, &[], limit).await {
        Ok(unit) => unit,
        Err(note) => return note,
    };
    let mut options = "";
    if unit.load == "not-found"
        && let Ok(theirs) = show(RELAY, &["--user"], limit).await
    {
        unit = theirs;
        options = "--user ";
    }
    judge_unit(&unit, options, works)
}

fn judge_unit(unit: &Unit, options: &str, works: bool) -> Note {
    let state = unit.state();
    let systemctl = if options.is_empty() {
        "sudo systemctl"
    } else {
        "systemctl --user"
    };
    let trouble = |detail: String| match works {
        true => Note::warn(detail),
        false => Note::fail(detail),
    };
    match (unit.load.as_str(), unit.active.as_str()) {
        ("not-found" | "", _) => Note::skip(format!("{RELAY} is not installed here")),
        ("loaded", "active") => Note::ok(format!(
            "{state}, {} automatic restarts",
            unit.restarts
        )),
        ("loaded", "inactive") if works => Note::warn(format!("the unit is {state}"))
            .means("the relay that answers was started by hand: a reboot will not bring it back")
            .next(format!("its end, then {systemctl} enable --now claude-distill-relay")),
        ("loaded", "inactive") => Note::fail(format!("the unit is {state}"))
            .means("it was stopped, or never started")
            .next(format!("{systemctl} enable --now claude-distill-relay")),
        ("loaded", "failed") => trouble(format!("the unit is {state}"))
            .means("a setting cannot be used, or the relay ended with an error too often")
            .next(format!(
                "journalctl {options}-u claude-distill-relay -n 50; {systemctl} restart claude-distill-relay"
            )),
        ("loaded", _) => trouble(format!("the unit is {state}, {} automatic restarts", unit.restarts))
            .means("it is on its way up or down, or ends again and again")
            .next(format!("journalctl {options}-u claude-distill-relay -n 50")),
        (load, _) => trouble(format!("the unit is {load}"))
            .means("systemd cannot use the unit's file")
            .next(format!("systemctl {options}status {RELAY}; systemd-analyze verify {RELAY}")),
    }
}

/// The tunnel's service. The relay can be well without it, but nobody outside reaches it.
pub(super) async fn tunnel(limit: Duration) -> Note {
    if let Some(note) = without_systemd() {
        return note;
    }
    match show(TUNNEL, &[], limit).await {
        Ok(unit) => judge_tunnel(&unit),
        Err(note) => note,
    }
}

fn judge_tunnel(unit: &Unit) -> Note {
    let state = unit.state();
    match (unit.load.as_str(), unit.active.as_str()) {
        ("not-found" | "", _) => Note::skip("no cloudflared service here"),
        (_, "active") => Note::ok(format!("cloudflared is {state}")),
        _ => Note::fail(format!("cloudflared is {state}"))
            .means("the tunnel is down: Cloudflare answers clients with error 1033")
            .next("sudo systemctl restart cloudflared; journalctl -u cloudflared -n 50"),
    }
}

fn without_systemd() -> Option<Note> {
    (!has_systemd()).then(|| Note::skip("systemd does not run this machine"))
}

async fn show(unit: &str, options: &[&str], limit: Duration) -> Result<Unit, Note> {
    let show = [
        "show",
        unit,
        "-p",
        "LoadState,ActiveState,SubState,NRestarts",
    ];
    let arguments = [options, &show].concat();
    match output("systemctl", &arguments, limit).await {
        Ok(output) if output.status.success() => {
            Ok(Unit::parse(&String::from_utf8_lossy(&output.stdout)))
        }
        Ok(output) => Err(
            Note::warn(format!("systemctl: {}", first_line(&output.stderr)))
                .next(format!("systemctl {}", arguments.join(" "))),
        ),
        Err(error) => Err(Note::warn(format!("systemctl cannot be asked: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::note::Status::{self, Fail, Ok as Fine, Skip, Warn};

    fn unit(load: &str, active: &str, sub: &str) -> Unit {
        Unit::parse(&format!(
            "NRestarts=3\nLoadState={load}\nActiveState={active}\nSubState={sub}\n"
        ))
    }

    #[test]
    fn a_unit_is_judged_by_its_state_and_by_whether_the_relay_works() {
        for (load, active, sub, works, status) in [
            ("loaded", "active", "running", true, Fine),
            ("loaded", "activating", "auto-restart", false, Fail),
            ("loaded", "activating", "auto-restart", true, Warn),
            ("loaded", "failed", "failed", false, Fail),
            ("loaded", "inactive", "dead", true, Warn),
            ("loaded", "inactive", "dead", false, Fail),
            ("masked", "inactive", "dead", true, Warn),
            ("not-found", "inactive", "dead", false, Skip),
        ] {
            let note = judge_unit(&unit(load, active, sub), "", works);
            assert_eq!(note.status, status, "{load} {active} {works}");
            assert_eq!(note.next.is_some(), status > Status::Ok);
        }
        let note = judge_unit(&unit("loaded", "active", "running"), "", true);
        assert_eq!(note.detail, "active (running), 3 automatic restarts");
    }

    #[test]
    fn a_tunnel_that_is_there_must_run() {
        for (load, active, status) in [
            ("loaded", "active", Fine),
            ("loaded", "failed", Fail),
            ("not-found", "inactive", Skip),
        ] {
            assert_eq!(judge_tunnel(&unit(load, active, "x")).status, status);
        }
    }
}
