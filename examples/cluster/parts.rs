//! The processes: nats-server, three nodes, and nginx with the site of our deployment.

use std::{error::Error, io, process::Stdio};

use claude_distill_relay::{
    cli, config,
    observe::logging,
    process::{Relay, worker},
};
use relay_testing::{
    port::Port,
    program::{Process, Program},
    skip::find,
};
use tokio::signal::unix::{SignalKind, signal};

/// The argument that makes this program a node.
pub const AS_RELAY: &str = "--as-relay";

/// What the nodes prove to each other that they are one by. It guards nothing here, where all of them are ours.
const SECRET: &str = "a-secret-of-three-nodes-on-one-machine";

/// Runs a relay in this process until it is told to stop, by the settings in its environment.
pub fn serve() -> io::Result<()> {
    let flags = cli::command().get_matches_from(["cluster"]);
    let settings = config::load(&flags).map_err(io::Error::other)?;
    let _ = logging::set_filter(settings.log_filter.as_deref());
    let _log = logging::init()?;
    worker::system()?.block_on(async {
        let relay = Relay::bind(settings.config)?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopped = async {
            let _ = terminate.recv().await;
        };
        relay.run(stopped).await
    })
}

/// All of them, ended when dropped.
pub struct Parts {
    // In the order in which they end.
    _nginx: Process,
    nodes: Vec<Port>,
    _relays: Vec<Process>,
    _nats: Process,
    url: String,
    _ports: [Port; 2],
}

impl Parts {
    /// Starts them, and waits until each listens.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let (nats_port, nginx_port) = (Port::reserve(), Port::reserve());
        let nodes: Vec<_> = (0..3).map(|_| Port::reserve()).collect();

        let mut nats = Program::new(program("nats-server"))
            .args(["-a", "127.0.0.1", "-p"])
            .args([nats_port.number().to_string()])
            .stderr(Stdio::null())
            .spawn()?;
        nats.listens_at(nats_port.addr())?;
        let nats_url = format!("nats://{}", nats_port.addr());
        println!("nats-server at {nats_url}");

        let mut relays = Vec::new();
        for (number, port) in (1..).zip(&nodes) {
            let mut relay = Program::new(std::env::current_exe()?)
                .args([AS_RELAY])
                .env("RUST_LOG", "warn")
                .env("RELAY_PORT", port.number())
                .env("RELAY_CLUSTER_NATS", &nats_url)
                .env("RELAY_CLUSTER_ADDRESS", format!("ws://{}", port.addr()))
                .env("RELAY_CLUSTER_SECRET", SECRET)
                .stderr(Stdio::inherit())
                .spawn()?;
            relay.listens_at(port.addr())?;
            println!(
                "node {number} at ws://{} (process {})",
                port.addr(),
                relay.pid()
            );
            relays.push(relay);
        }

        let mut nginx = nginx(&nginx_port, &nodes)?;
        nginx.listens_at(nginx_port.addr())?;
        let url = format!("ws://{}/", nginx_port.addr());
        println!("nginx at {url}, in front of them");
        Ok(Self {
            _nginx: nginx,
            nodes,
            _relays: relays,
            _nats: nats,
            url,
            _ports: [nats_port, nginx_port],
        })
    }

    /// Where clients come.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The node at this address, as it was announced.
    pub fn name_of(&self, address: &str) -> Result<String, String> {
        let at = |port: &Port| port.addr().to_string() == address;
        let index = self.nodes.iter().position(at);
        let index = index.ok_or_else(|| format!("nginx has sent a client to {address:?}"))?;
        Ok(format!("node {}", index + 1))
    }
}

fn program(name: &str) -> std::path::PathBuf {
    find(name).unwrap_or_else(|| name.into())
}

/// nginx with the site that our script writes for several relays. It says by a header which one a client has come to.
fn nginx(port: &Port, nodes: &[Port]) -> Result<Process, Box<dyn Error>> {
    let others: Vec<_> = nodes[1..].iter().map(|it| it.addr().to_string()).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/setup-nginx-relay.sh");
    let site = std::process::Command::new(script)
        .args(["relay.example.com", &nodes[0].number().to_string()])
        .args(["--listen", &port.number().to_string()])
        .args(["--nodes", &others.join(","), "--print"])
        .output()?;
    if !site.status.success() {
        return Err(format!("{script}: {}", String::from_utf8_lossy(&site.stderr)).into());
    }
    let site = String::from_utf8(site.stdout)?;
    let nginx = Program::new(program("nginx"));
    let folder = nginx.directory().to_string_lossy().into_owned();
    let site = site.replace("/var/log/claude-distill-relay", &folder);
    let config =
        relay_testing::nginx::config(&format!("add_header X-Node $upstream_addr always; {site}"));
    let nginx = nginx
        .file("nginx.conf", &config)
        .args(relay_testing::nginx::ARGUMENTS)
        .args([&folder])
        .stderr(Stdio::inherit());
    Ok(nginx.spawn()?)
}
