//! nginx in front of several relays, and the example that starts all of that.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use relay_testing::{
    TestRelay,
    skip::{find, skip},
};

use crate::server::{Start, UPGRADE};

/// One that is about to stop answers with 503, one that has stopped not at all; whoever comes is with the next.
#[tokio::test]
async fn a_relay_that_stops_refuses_nobody() {
    let (staying, mut stopping) = (TestRelay::start(|_| {}), TestRelay::start(|_| {}));
    let Some(nginx) = Start::before_all(&[&staying, &stopping]) else {
        return;
    };
    let nginx = nginx.run().listening().await;
    let headers = format!("{UPGRADE}Connection: close\r\n");
    // In turns, so that one in two is for it.
    let connect_all = async || {
        for turn in 0..8 {
            let answer = nginx.ask("/", &headers).await;
            assert!(answer.starts_with("HTTP/1.1 101 "), "{turn}: {answer}");
        }
    };
    connect_all().await;
    // A pair keeps it from being gone at once.
    let (mut sender, mut receiver) = relay_testing::pair(&stopping).await;
    stopping.stop();
    receiver.send("still here").await;
    sender.expect(relay_testing::text("still here")).await;
    connect_all().await;
    receiver.close().await;
    sender.expect_peer_gone().await;
    sender
        .expect_close_after_error("server_shutdown", 1012)
        .await;
    stopping.join().await.unwrap();
    connect_all().await;
}

/// What README says of three nodes on one machine.
#[test]
fn the_example_shares_a_file_from_node_to_node() {
    for program in ["nats-server", "nginx"] {
        if find(program).is_none() {
            return skip(program);
        }
    }
    let Some(example) = example() else {
        return skip("example, which is built where no test program is named");
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("PROTOCOL.md");
    let ended = Command::new(example)
        .args(["--once".as_ref(), file.as_os_str()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, errors) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    assert!(ended.status.success(), "{said}\n{errors}");
    assert!(said.contains("PROTOCOL.md, "), "{said}");
    assert!(said.contains("arrived as it was"), "{said}");
}

/// The program of the example, beside the folder of the test programs.
fn example() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    let example = own.parent()?.with_file_name("examples").join("cluster");
    example.is_file().then_some(example)
}
