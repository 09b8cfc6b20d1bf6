//! `claude-distill-relay check`: does a relay do its work, and if not, why not? It uses the relay as
//! two clients would, with two requests and one room, and says of each step how it went, what a
//! failure usually means and what to try next. The connections themselves are [`relay_client`]'s.
//! Nothing here is reached by a relay that serves.
//!
//! | module | what it is for |
//! |---|---|
//! | `target`, `plan` | what is checked, and how much of it |
//! | `settings`, `exposure` | by which settings, and who can reach what they say |
//! | `exchange`, `pair` | the steps of using a room, in their order; what its two clients do |
//! | `way`, `public` | the ways there that clients come by: through nginx, by the public name |
//! | `reach`, `published` | a connection by them; whether the operator's pages are shown to whoever comes by them |
//! | `cluster` | what the relay says of the others of its cluster |
//! | `net`, `tls` | what the failures of the way there mean |
//! | `client` | a WebSocket client, and what the relay's refusals mean |
//! | `answer` | what an HTTP answer in place of a WebSocket means |
//! | `machine`, `listener` | the unit, the tunnel; who listens |
//! | `nginx`, `site`, `token` | nginx and its configuration; the sites in it; its words |
//! | `program` | other programs, asked one thing each |
//! | `note`, `report`, `print` | findings, their verdict, their looks |
//! | `exposition` | findings as metrics |

mod answer;
mod client;
mod cluster;
mod exchange;
mod exposition;
mod exposure;
mod listener;
mod machine;
mod net;
mod nginx;
mod note;
mod pair;
mod plan;
mod print;
mod program;
mod public;
mod published;
mod reach;
mod report;
mod settings;
mod site;
mod target;
mod tls;
mod token;
mod way;

use std::{process::ExitCode, time::Duration};

use clap::{Arg, ArgAction, ArgMatches, Command};

pub use self::settings::{Keys, Whose};
use self::{
    note::{Note, Status},
    plan::{DATA_SIZE, Plan},
    print::Printer,
    public::Public,
    report::{Report, Step},
    settings::Judged,
    target::Target,
};
use crate::{
    config::{Config, Error, Settings},
    observe::logging,
};

const SITE: Step = Step {
    name: "site",
    hangs: "nginx hangs",
};
const PUBLIC: Step = Step {
    name: "public",
    hangs: "something on the way hangs",
};

const AFTER_HELP: &str = "Without a URL it checks the relay of this machine, as configured, and what \
    stands around it: the systemd unit, nginx, the tunnel, and the ways that clients come by: through \
    nginx, and by the public URL that the deployment has written down, by which nobody may see the relay's own \
    pages. With one it checks what clients meet there. Each way takes two requests of its address's budget, and leaves no room behind.\n\n\
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
            flag("public")
                .value_name("URL")
                .help("The URL by which clients come to the relay of this machine")
                .conflicts_with_all(["url", "relay-only"])
                .value_parser(Target::parse),
        )
        .arg(
            flag("settings")
                .help(
                    "Only whether the settings of this directory can be used (.env.relay, or .env), \
                     before a relay is given them",
                )
                .conflicts_with_all(["url", "relay-only", "public", "idle"])
                .action(ArgAction::SetTrue),
        )
        .arg(
            flag("json")
                .help("Print one JSON object in place of the table")
                .action(ArgAction::SetTrue),
        )
        .arg(
            flag("metrics")
                .help("Print metrics for Prometheus's node exporter in place of the table")
                .conflicts_with("json")
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

/// Checks what `flags` ask for; `settings` reads those that a relay of this machine would have.
pub fn run(
    flags: &ArgMatches,
    settings: impl Fn(Whose, Keys) -> Result<Settings, Error>,
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
    let printer = match (flags.get_flag("json"), flags.get_flag("metrics")) {
        (true, _) => Printer::Json,
        (_, true) => Printer::Metrics,
        _ => Printer::table(),
    };
    let status = runtime.block_on(async {
        match flags.get_one::<Target>("url") {
            Some(target) => outside(target, &plan, printer).await,
            None if flags.get_flag("settings") => drafted(settings::drafted(settings), printer),
            None => local(settings::of_relay(settings), plan, printer).await,
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
        public: flags.get_one("public").cloned(),
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

/// Only settings, which no relay may have yet.
fn drafted(judged: Judged, printer: Printer) -> Status {
    let look = "claude-distill-relay --help";
    let mut report = Report::new("the settings of this directory".into(), look, printer);
    report.add("config", judged.note);
    report.finish()
}

async fn local(judged: Judged, plan: Plan, printer: Printer) -> Status {
    let Judged { settings, note } = judged;
    let config = settings.map(|settings| settings.config);
    let local = config.as_ref().map(Target::local);
    let target = local.filter(|target| target.url.port != 0);
    let plan = match &config {
        Some(config) => plan.within(config),
        None => plan,
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
    if let Some(config) = config.as_ref().filter(|it| it.cluster_address.is_some()) {
        report.add("cluster", cluster::ask(config.admin_socket.clone()).await);
    }
    if plan.machine {
        around(config.as_ref(), target.as_ref(), &plan, &mut report).await;
    }
    report.finish()
}

/// What stands around the relay, and the ways there that clients come by.
async fn around(config: Option<&Config>, relay: Option<&Target>, plan: &Plan, report: &mut Report) {
    let works = exchange::succeeded(report);
    if let Some(config) = config {
        report.add("address", exposure::address(config).await);
    }
    report.add("unit", machine::unit(works, plan.limit).await);
    let nginx = nginx::ask(plan.limit).await;
    let public = Public::find(plan, &nginx.sites);
    report.add("nginx", nginx.judge(config, public.as_ref()));
    let mut ways = config.map_or_else(Vec::new, |config| nginx.ways(config, public.as_ref()));
    let outside = public.as_ref().map(Public::target);
    let relay = relay.filter(|_| works);
    if let Some(relay) = relay {
        for way in ways.drain(..) {
            let way = way.with_key(relay.key.clone());
            report.allow(plan.limit);
            let tried = way::try_way(relay, &way, plan);
            report.step(&SITE, plan.limit, tried).await;
        }
    }
    if !ways.is_empty() {
        report.skip_rest(&[&SITE]);
    }
    report.add("tunnel", machine::tunnel(plan.limit).await);
    match (relay, outside) {
        (Some(relay), Some(way)) => {
            let way = way.with_key(relay.key.clone());
            report.allow(plan.limit);
            let tried = way::try_way(relay, &way, plan);
            report.step(&PUBLIC, plan.limit, tried).await;
        }
        (None, Some(_)) => report.skip_rest(&[&PUBLIC]),
        (_, None) => report.add(
            PUBLIC.name,
            Note::skip("no public name is known here; --public wss://NAME says one"),
        ),
    }
}
