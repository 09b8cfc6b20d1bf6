//! `claude-distill-relay check`: does a relay do its work, and if not, why not? It uses the relay as
//! two clients would, with two requests and one room, and says of each step how it went, what a
//! failure usually means and what to try next. The connections themselves are [`relay_client`]'s.
//! Nothing here is reached by a relay that serves.
//!
//! | module | what it is for |
//! |---|---|
//! | `target`, `plan` | what is checked, and how much of it |
//! | `exchange` | the steps of using a room, in their order |
//! | `net`, `tls` | what the failures of the way there mean |
//! | `client` | a WebSocket client, and what the relay's refusals mean |
//! | `answer` | what an HTTP answer in place of a WebSocket means |
//! | `machine`, `nginx`, `listener` | the unit, the tunnel; nginx; who listens |
//! | `program` | other programs, asked one thing each |
//! | `note`, `report`, `print` | findings, their verdict, their looks |

mod answer;
mod client;
mod exchange;
mod listener;
mod machine;
mod net;
mod nginx;
mod note;
mod plan;
mod print;
mod program;
mod report;
mod target;
mod tls;

use std::{process::ExitCode, time::Duration};

use clap::{Arg, ArgAction, ArgMatches, Command};

use self::{
    note::{Note, Status},
    plan::{DATA_SIZE, Plan},
    print::Printer,
    report::Report,
    target::Target,
};
use crate::{
    config::{self, Settings},
    observe::logging,
};

const AFTER_HELP: &str = "Without a URL it checks the relay of this machine, as configured, and what \
    stands around it: the systemd unit, nginx, the tunnel. With one it checks what clients meet \
    there. It takes two requests of its address's budget, and leaves no room behind.\n\n\
    Exit status: 0 all is well, 1 there are warnings, 2 there are failures, or \
    this cannot be printed.";

/// The subcommand.
pub fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name);
    Command::new("check")
        .about("Check a relay, and say what is wrong and what to do about it")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("url")
                .value_name("URL")
                .help("The ws:// or wss:// URL of a relay, such as wss://relay.example.com")
                .value_parser(Target::parse),
        )
        .arg(
            flag("idle")
                .value_name("SECONDS")
                .help("Also see whether a silent connection survives (75 seconds, or as many)")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("75")
                .value_parser(seconds),
        )
        .arg(
            flag("relay-only")
                .help("Only the relay itself, not what stands around it on this machine")
                .action(ArgAction::SetTrue),
        )
        .arg(
            flag("json")
                .help("Print one JSON object in place of the table")
                .action(ArgAction::SetTrue),
        )
        .arg(
            flag("timeout")
                .value_name("SECONDS")
                .help("How long each step may take")
                .default_value("10")
                .value_parser(seconds),
        )
}

/// A time in seconds, whole or not.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|it| (0.1..=3600.0).contains(it));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "it must be a number of seconds from 0.1 to 3600".to_owned())
}

/// Checks what `flags` ask for; `settings` are those that the relay of this machine would have.
pub fn run(
    flags: &ArgMatches,
    settings: impl FnOnce() -> Result<Settings, config::Error>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            logging::print_error(&format_args!("the check cannot start: {error}"));
            return ExitCode::from(Status::Fail.exit());
        }
    };
    let plan = plan(flags);
    let printer = if flags.get_flag("json") {
        Printer::Json
    } else {
        Printer::table()
    };
    let status = runtime.block_on(async {
        match flags.get_one::<Target>("url") {
            Some(target) => outside(target, &plan, printer).await,
            None => local(settings(), plan, printer).await,
        }
    });
    // Else a name server that does not answer would hold us here.
    runtime.shutdown_background();
    ExitCode::from(status.exit())
}

/// What `flags` ask for.
fn plan(flags: &ArgMatches) -> Plan {
    let time = |name| flags.get_one::<Duration>(name).copied();
    Plan {
        limit: time("timeout").unwrap_or(Duration::from_secs(10)),
        idle: time("idle"),
        data: DATA_SIZE,
        message: DATA_SIZE,
        machine: !flags.get_flag("relay-only"),
    }
}

async fn outside(target: &Target, plan: &Plan, printer: Printer) -> Status {
    let mut report = Report::new(target.to_string(), target.look(), printer);
    exchange::run(target, plan, &mut report).await;
    report.finish()
}

async fn local(settings: Result<Settings, config::Error>, plan: Plan, printer: Printer) -> Status {
    let config = settings
        .as_ref()
        .ok()
        .map(|settings| settings.config.clone());
    let (target, plan, note) = match settings {
        Ok(settings) => {
            let note = configured(&settings);
            let target =
                Some(Target::local(&settings.config)).filter(|target| target.url.port != 0);
            (target, plan.within(&settings.config), note)
        }
        Err(error) => {
            let note = Note::fail(error.to_string())
                .means("the relay does not start with this")
                .next("that value mended; claude-distill-relay --help has all of them");
            (None, plan, note)
        }
    };
    let name = target
        .as_ref()
        .map_or("the relay of this machine".into(), Target::to_string);
    let look = target.as_ref().map_or("", Target::look);
    let mut report = Report::new(name, look, printer);
    report.add("config", note);
    match &target {
        Some(target) => exchange::run(target, &plan, &mut report).await,
        None => exchange::skip_rest(true, &plan, &mut report),
    }
    if plan.machine {
        let works = exchange::succeeded(&report);
        report.add("unit", machine::unit(works, plan.limit).await);
        report.add("nginx", nginx::nginx(config.as_ref(), plan.limit).await);
        report.add("tunnel", machine::tunnel(plan.limit).await);
    }
    report.finish()
}

/// What there is to say about a configuration that can be used.
fn configured(settings: &Settings) -> Note {
    let place = match &settings.file {
        Some(file) => format!("the environment and {}", file.display()),
        None => "the environment (no .env.relay or .env here, and none installed)".to_owned(),
    };
    if !settings.warnings.is_empty() {
        return Note::warn(settings.warnings.join("; "))
            .means("a setting that has no effect, or another one than it seems")
            .next(format!("that line mended, in {place}"));
    }
    if settings.config.port == 0 {
        return Note::warn("RELAY_PORT is 0: the relay takes any free port")
            .means("only its log says which, so nothing can be checked without it")
            .next("claude-distill-relay check ws://127.0.0.1:PORT");
    }
    Note::ok(format!("valid, from {place}"))
}
