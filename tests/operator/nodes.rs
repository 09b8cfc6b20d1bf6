//! What the operator of a cluster decides on one node, and is told of the others.

use std::time::{Duration, Instant};

use relay_testing::{
    cluster::{Nats, until_settled},
    http::get,
    skip::is_too_long,
    within,
};

use super::{
    decisions::{SOON, last_word},
    *,
};

/// Two nodes that know each other.
async fn nodes(nats: &Nats, machines: [&Machine; 2]) -> [Relay; 2] {
    let mut nodes = machines.map(|machine| machine.relay().in_cluster(&nats.url()).run());
    for node in &mut nodes {
        node.line_with(" is here");
    }
    for node in &nodes {
        until_settled(node.addr()).await;
    }
    nodes
}

/// Waits until handshakes of this client are answered like this.
async fn until_status(relay: &Relay, address: &str, wanted: u16) {
    let asking = async { while status(relay, address).await != wanted {} };
    within(&format!("{wanted} for {address}"), asking).await;
}

#[tokio::test]
async fn what_is_decided_on_one_node_holds_on_all_and_is_not_lost() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let [here, there] = [Machine::new(), Machine::new()];
    let [a, b] = nodes(&nats, [&here, &there]).await;

    // Who is there, and in a room there whose client is here.
    let mut sender = client(&a, "192.0.2.1").await;
    let code = sender.create_room().await;
    let mut receiver = client(&b, "192.0.2.9").await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    let mut soonest = Duration::MAX;
    for address in ["192.0.2.17", "192.0.2.27", "192.0.2.7"] {
        let mut idle = client(&b, address).await;
        let before = Instant::now();
        let done = here.json(&["block", address]).await;
        assert_eq!(done["nodes"], 1, "{done}");
        let told = last_word(&mut idle).await;
        assert_eq!(told, (1008, "blocked".to_owned()));
        soonest = soonest.min(before.elapsed());
    }
    assert!(soonest < SOON, "{soonest:?}");
    assert_eq!(status(&b, "192.0.2.7").await, 403);
    let said = there.says(&["block", "192.0.2.9"]).await;
    assert!(said.ends_with("; told to 1 other node\n"), "{said}");
    let told = last_word(&mut receiver).await;
    assert_eq!(told, (1008, "blocked".to_owned()));
    sender.expect_peer_gone().await;
    let pipes = "relay_cluster_pipes";
    b.until(pipes, |pipes| pipes == 0).await;

    // Each ends what the other has decided.
    here.says(&["limit", "198.51.100.0/24", "--bytes-per-sec", "64KiB"])
        .await;
    let listed = async { while !there.says(&["limit"]).await.contains("64 KiB") {} };
    within("a limit of another node", listed).await;
    there
        .says(&["limit", "198.51.100.0/24", "--bytes-per-sec", "0"])
        .await;
    there.says(&["unblock", "192.0.2.7"]).await;
    until_status(&a, "192.0.2.7", 101).await;
    let listed = async { while here.says(&["limit"]).await.contains("64 KiB") {} };
    within("the end of a limit of another node", listed).await;

    // One is away, and comes back with what it knew.
    drop(b);
    here.says(&["unblock", "192.0.2.9"]).await;
    here.says(&["block", "192.0.2.8"]).await;
    let b = there.relay().in_cluster(&nats.url()).run();
    until_status(&b, "192.0.2.8", 403).await;
    until_status(&b, "192.0.2.9", 101).await;

    // Nobody hears anybody, and each decides for itself.
    nats.kill();
    a.until("relay_cluster_joined", |joined| joined == 0).await;
    b.until("relay_cluster_joined", |joined| joined == 0).await;
    let said = here.says(&["block", "192.0.2.5"]).await;
    let expected = "; NATS is not reached: other nodes hear of it once it is\n";
    assert!(said.ends_with(expected), "{said}");
    there.says(&["block", "192.0.2.6"]).await;
    there.says(&["unblock", "192.0.2.8"]).await;
    nats.start_again();
    until_status(&a, "192.0.2.6", 403).await;
    until_status(&b, "192.0.2.5", 403).await;
    until_status(&a, "192.0.2.8", 101).await;

    // What was decided elsewhere outlives a restart with nobody there to tell it.
    let kept = async {
        let file = here.state().join("rules.json");
        while !std::fs::read_to_string(&file)
            .unwrap()
            .contains("192.0.2.6")
        {
            tokio::task::yield_now().await;
        }
    };
    within("a decision of another node on the disk", kept).await;
    drop((a, b));
    nats.kill();
    let a = here.relay().in_cluster(&nats.url()).run();
    assert_eq!(status(&a, "192.0.2.6").await, 403);
    assert_eq!(status(&a, "192.0.2.8").await, 101);
}

#[tokio::test]
async fn the_operator_is_told_who_is_there_and_what_nats_says() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let [here, there] = [Machine::new(), Machine::new()];
    let [mut a, b] = nodes(&nats, [&here, &there]).await;
    let mut sender = client(&b, "192.0.2.1").await;
    let code = sender.create_room().await;
    let mut receiver = client(&a, "192.0.2.9").await;
    receiver.join(&code).await;
    sender.expect_peer().await;

    let seen = here.json(&["status"]).await;
    let cluster = &seen["cluster"];
    let address = format!("ws://{}/", b.addr());
    let node = row(&cluster["nodes"], "address", &address);
    assert_eq!(
        (&node["reachable"], &node["silent"], &node["doubtful"]),
        (&true.into(), &false.into(), &false.into()),
        "{seen:#}"
    );
    assert_eq!(cluster["nats"]["reached"], true, "{seen:#}");
    let server = cluster["nats"]["server"].as_str().unwrap();
    assert!(server.contains(&nats.addr().to_string()), "{server}");
    let text = here.says(&["status"]).await;
    assert!(text.starts_with("All is well"), "{text}");
    let line = format!("  {address} is heard of, reached from here\n");
    assert!(text.contains(&line), "{text}");
    let found = r#"relay_cluster_lookup_seconds_count{outcome="found"}"#;
    for (name, value) in [
        ("relay_cluster_joined", 1),
        (r#"relay_cluster_nodes{state="heard"}"#, 1),
        ("relay_cluster_pipes", 1),
        (found, 1),
        (r#"relay_cluster_visits_total{result="joined"}"#, 1),
    ] {
        assert_eq!(a.metric(name).await, value, "{name}");
    }
    let url = nats.url();
    let check = |relay: &Relay| {
        let program = Program::new(process::program())
            .env("RELAY_PORT", relay.addr().port())
            .env("RELAY_ADMIN_SOCKET", here.socket().display())
            .env("RELAY_CLUSTER_NATS", &url)
            .env("RELAY_CLUSTER_ADDRESS", format!("ws://{}", relay.addr()))
            .env("RELAY_CLUSTER_SECRET", relay_testing::cluster::SECRET)
            .args(["check", "--relay-only", "--json"]);
        spawn_blocking(|| program.output())
    };
    let output = check(&a).await.unwrap();
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let step = row(&checked["steps"], "step", "cluster");
    assert_eq!(step["status"], "ok", "{checked:#}");
    assert!(
        step["detail"].as_str().unwrap().contains(&address),
        "{step}"
    );

    nats.kill();
    a.until("relay_cluster_joined", |joined| joined == 0).await;
    let troubles = here.json(&["status"]).await["troubles"].to_string();
    assert!(troubles.contains("NATS is not reached for"), "{troubles}");
    let ready = get(a.addr(), "/readyz").unwrap();
    assert_eq!(ready.status, 200, "local rooms are served");
    let checking = check(&a);
    let output = checking.await.unwrap();
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row(&checked["steps"], "step", "cluster")["status"], "warn");

    nats.start_again();
    a.line_with("cluster: joined, over NATS");
    a.until("relay_cluster_joined", |joined| joined == 1).await;
    if !is_too_long() {
        fall_silent(&here, &mut a, &b).await;
    }
    // A drain waits for those who talk.
    drop((sender, receiver));
    a.stop().await;
    for (line, times) in [
        ("cluster: joined, over NATS", 2),
        ("cluster: NATS is not reached any more", 1),
        ("cluster: left", 1),
    ] {
        assert_eq!(a.lines_with(line), times, "{line}: {:#?}", a.said());
    }
    let text = a.said().join("\n");
    assert!(
        !text.contains(&code) && !text.contains("192.0.2."),
        "{text}"
    );
}

#[tokio::test]
async fn a_node_does_not_end_before_it_has_left() {
    let Some(nats) = Nats::start() else {
        return;
    };
    let [here, there] = [Machine::new(), Machine::new()];
    let [mut a, mut b] = nodes(&nats, [&here, &there]).await;
    a.stop().await;
    assert_eq!(a.lines_with("cluster: left"), 1, "{:#?}", a.said());
    b.line_with(" is gone, and its rooms with it");
    // It has heard so, and has not found it out.
    let mut said = b.said().iter();
    assert!(
        !said.any(|line| line.contains("is not heard of")),
        "{:#?}",
        b.said()
    );
    // NATS takes nothing, and the end does not wait for it for ever.
    nats.freeze().await;
    b.stop().await;
    assert_eq!(b.lines_with("cluster: left"), 1, "{:#?}", b.said());
}

/// A node is frozen for some seconds, and goes on.
async fn fall_silent(here: &Machine, a: &mut Relay, b: &Relay) {
    let address = format!("ws://{}/", b.addr());
    b.freeze().await;
    a.line_with("is not heard of: ");
    let status = here.json(&["status"]).await;
    let troubles = status["troubles"].to_string();
    let trouble = format!("node {address} is not heard of for ");
    assert!(troubles.contains(&trouble), "{troubles}");
    assert!(troubles.contains("nor does it answer there"), "{troubles}");
    let said = here.says(&["block", "192.0.2.77"]).await;
    assert!(said.contains("of which 1 not heard of"), "{said}");
    b.signal(nix::sys::signal::Signal::SIGCONT);
    a.line_with("is heard of again");
    let silences = a.said().iter();
    let silences = silences.filter(|line| line.contains("is not heard of: "));
    assert_eq!(silences.count(), 1);
    until_status(b, "192.0.2.77", 403).await;
}
