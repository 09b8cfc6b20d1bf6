//! A room that is open on one node is found from all.

use relay_testing::cluster::pair_across;
use relay_testing::{cluster::Cluster, text};

#[tokio::test]
async fn each_of_nine_pairs_of_nodes_exchanges_what_it_likes() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    for from in &cluster.nodes {
        for to in &cluster.nodes {
            let (mut sender, mut receiver) = pair_across(from.addr(), to.addr()).await;
            sender.send(text("hello")).await;
            receiver.expect(text("hello")).await;
            receiver.send(text("and to you")).await;
            sender.expect(text("and to you")).await;
            receiver.close().await;
            sender.expect_peer_gone().await;
            sender.close().await;
        }
    }
}
