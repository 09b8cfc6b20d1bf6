//! Nodes that come and go behind a load balancer, under load.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use relay_testing::{
    Client,
    cluster::{Cluster, Nats, until_settled},
    nginx::{ARGUMENTS, config},
    port::Port,
    process::{Relay, Start},
    program::{Process, Program},
    skip, text, within,
};
use tokio_tungstenite::tungstenite::Message;

/// nginx before these relays, which tries the next where one does not take a client.
fn balancer(relays: &[Port]) -> Option<(Process, SocketAddr)> {
    let Some(nginx) = skip::find("nginx") else {
        skip("nginx");
        return None;
    };
    let port = Port::reserve();
    let servers: String = relays
        .iter()
        .map(|it| format!("server {} max_fails=0;", it.addr()))
        .collect();
    let config = config(&format!(
        "upstream relays {{ {servers} }}
        server {{
            listen {};
            location / {{
                proxy_pass http://relays;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_next_upstream error timeout http_502 http_503;
                proxy_connect_timeout 1s;
                proxy_buffering off;
            }}
        }}",
        port.addr()
    ));
    let program = Program::new(nginx).file("nginx.conf", &config);
    let folder = program.directory().to_string_lossy().into_owned();
    let program = program.args(ARGUMENTS).args([&folder]);
    let mut process = program.spawn().unwrap();
    process.listens_at(port.addr()).unwrap();
    Some((process, port.addr()))
}

fn node(port: &Port, nats: &Nats) -> Relay {
    let addr = port.addr();
    Start::new()
        .in_cluster(&nats.url())
        .env("RELAY_PORT", port.number())
        .env("RELAY_CLUSTER_ADDRESS", format!("ws://{addr}"))
        .env("RELAY_DRAIN_TIMEOUT", 1)
        .run_at(addr)
}

#[derive(Default)]
struct Load {
    over: AtomicBool,
    /// Shares that went through, and those that a restart has ended.
    whole: AtomicUsize,
    ended: AtomicUsize,
}

impl Load {
    /// Shares again and again; whoever connects is let in.
    async fn run(self: Arc<Self>, addr: SocketAddr) {
        while !self.over.load(SeqCst) {
            let counter = match share(addr).await {
                Some(()) => &self.whole,
                None => &self.ended,
            };
            counter.fetch_add(1, SeqCst);
        }
    }

    async fn until_more(&self, more: usize) {
        let enough = self.whole.load(SeqCst) + more;
        let sharing = async {
            while self.whole.load(SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("shares", sharing).await;
    }
}

/// One share; None where a node that stops has ended it, which it says.
async fn share(addr: SocketAddr) -> Option<()> {
    use futures_util::{SinkExt, StreamExt};
    let mut sender = Client::at(addr).await.into_inner();
    sender.send(text(relay_testing::reply::CREATE)).await.ok()?;
    let created = loop {
        match sender.next().await? {
            Ok(Message::Text(it)) => break relay_testing::reply::parse(&it),
            Ok(Message::Ping(_)) => {}
            _ => return None,
        }
    };
    let code = created["room_id"].as_str()?.to_owned();
    let mut receiver = Client::at(addr).await.into_inner();
    loop {
        receiver
            .send(text(relay_testing::reply::join(&code)))
            .await
            .ok()?;
        let answer = match receiver.next().await? {
            Ok(Message::Text(it)) => relay_testing::reply::parse(&it),
            _ => return None,
        };
        match answer["reason"].as_str() {
            None => break,
            Some("cluster_unavailable") => tokio::time::sleep(Duration::from_millis(250)).await,
            Some("room_not_found") => {
                // Only if it is.
                sender.send(Message::Ping(vec![1].into())).await.ok()?;
                match sender.next().await? {
                    Ok(Message::Pong(_)) => panic!("a room that is there is unknown"),
                    _ => return None,
                }
            }
            Some(_) => return None,
        }
    }
    match sender.next().await? {
        Ok(Message::Text(it)) if it.contains("PEER_JOINED") => {}
        _ => return None,
    }
    sender.send(text("shared")).await.ok()?;
    match receiver.next().await? {
        Ok(it) if it == text("shared") => Some(()),
        _ => None,
    }
}

#[tokio::test]
async fn nobody_who_connects_is_refused_while_all_nodes_are_restarted() {
    let Some(nats) = Nats::start() else { return };
    let ports: Vec<_> = (0..3).map(|_| Port::reserve()).collect();
    let Some((_nginx, addr)) = balancer(&ports) else {
        return;
    };
    let nodes = ports.iter().map(|port| node(port, &nats)).collect();
    let mut cluster = Cluster { nodes, nats };
    cluster.meet().await;
    let load = Arc::new(Load::default());
    let tasks: Vec<_> = (0..6)
        .map(|_| tokio::spawn(Arc::clone(&load).run(addr)))
        .collect();
    for (number, port) in ports.iter().enumerate() {
        load.until_more(30).await;
        cluster.nodes[number].stop().await;
        load.until_more(10).await;
        cluster.nodes[number] = node(port, &cluster.nats);
        until_settled(port.addr()).await;
    }
    load.until_more(30).await;
    load.over.store(true, SeqCst);
    for task in tasks {
        task.await.expect("nobody is refused");
    }
    let (whole, ended) = (load.whole.load(SeqCst), load.ended.load(SeqCst));
    println!("{whole} shares, of which restarts have ended {ended}");
    assert!(ended < whole / 2);
}
