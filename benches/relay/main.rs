//! `cargo bench`: the relay under load from outside, over loopback, beside other programs that do
//! the same job.
//!
//! A [`rows::Case`] is a load. Each is put on every [`peers::Peer`] in turn, for several rounds,
//! on a freshly started process; what counts is the CPU time and the memory of *that* process, not
//! of this one. Medians go into a table and two plots, shares over thin lines into a third. `benches/README.md` explains every row.

mod chart;
mod cluster;
mod failure;
mod figures;
mod growth;
mod growth_chart;
mod loads;
mod machine;
mod options;
mod pair;
mod peers;
mod report;
mod rows;
mod server;
mod side_by_side;
mod svg;
mod thin_lines;
mod thin_lines_chart;
mod thin_lines_report;
mod watcher;
mod wire;

use std::fs;

use self::{
    failure::Result,
    options::Options,
    peers::Peer,
    report::Report,
    rows::{CASES, Case},
    server::Server,
};

fn main() -> Result<()> {
    let options = Options::from_args();
    machine::allow_many_sockets()?;
    if let Some((address, rooms)) = options.hold {
        return cluster::hold(address, rooms);
    }
    if let Some(load) = machine::others_at_work() {
        eprintln!("this machine is busy (load {load}): the figures will be rough");
    }
    if let Some(difference) = &options.difference {
        let compared = side_by_side::measure(difference, &options)?;
        print!("{compared}");
        if let Some(folder) = &options.out {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("side-by-side.md"), compared)?;
        }
        return Ok(());
    }
    if options.cluster {
        let measured = cluster::measure(&options)?;
        print!("{measured}");
        if let Some(folder) = &options.out {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("cluster.md"), measured)?;
        }
        return Ok(());
    }
    let peers = available_peers(&options);
    if options.wants_thin_lines() {
        return thin_lines(&peers, &options);
    }
    let mut report = Report::new(&peers);

    for case in CASES.iter().filter(|case| options.wants_row(case.name)) {
        let rounds = if case.heavy {
            options.heavy_rounds
        } else {
            options.rounds
        };
        for round in 1..=rounds {
            for peer in peers.iter().filter(|peer| case.suits(peer)) {
                match measure(case, peer, &options) {
                    Ok(figures) => report.add(case, peer, &figures),
                    Err(error) => eprintln!("{}, {}: {error}", case.name, peer.name),
                }
            }
            eprintln!("{}: round {round} of {rounds}", case.name);
        }
    }
    if options.wants_row("growth") {
        match growth::measure(&peers, &options) {
            Ok(growth) => report.growth = growth,
            Err(error) => eprintln!("growth: {error}"),
        }
    }

    print!("{}", report.markdown());
    if let Some(folder) = &options.out {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("latest.md"), report.markdown())?;
        fs::write(folder.join("latest.json"), report.json())?;
        fs::write(folder.join("latest.svg"), chart::draw(&report))?;
        fs::write(
            folder.join("growth.svg"),
            growth_chart::draw(&report.growth),
        )?;
    }
    Ok(())
}

/// Shares over thin lines, with results of their own.
fn thin_lines(peers: &[Peer], options: &Options) -> Result<()> {
    if !peers::python().exists() {
        return Err(
            "there is no client of today to share with (benches/peers/install.sh installs it)"
                .into(),
        );
    }
    let lines = thin_lines::measure(peers, options);
    print!("{}", lines.markdown(peers));
    if let Some(folder) = &options.out {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("lines.md"), lines.markdown(peers))?;
        fs::write(folder.join("lines.json"), lines.json(peers))?;
        fs::write(folder.join("lines.svg"), thin_lines_chart::draw(&lines))?;
    }
    Ok(())
}

/// The peers asked for that are installed here; the others are named on standard error.
fn available_peers(options: &Options) -> Vec<Peer> {
    let (found, missing): (Vec<_>, Vec<_>) = peers::all()
        .into_iter()
        .filter(|peer| options.wants_peer(peer.name))
        .partition(|peer| peer.version.is_some());
    for peer in missing {
        eprintln!(
            "skipped: no {} (benches/peers/install.sh installs it)",
            peer.name
        );
    }
    found
}

fn measure(case: &Case, peer: &Peer, options: &Options) -> Result<Vec<f64>> {
    let server = Server::start(peer)?;
    (case.run)(&server, options)
}
