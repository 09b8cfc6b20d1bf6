//! The relay behind sites of nginx's that nobody has written for it.

use relay_testing::TestRelay;

use crate::server::{Start, UPGRADE};

/// nginx's own example for WebSockets (<https://nginx.org/en/docs/http/websocket.html>), and what many write
/// in place of its `map`.
const EXAMPLE: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;";
const WITHOUT_MAP: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;";
/// By default, until it kept its connections.
const PLAIN: &str = "proxy_http_version 1.0; proxy_set_header Connection close;";

#[tokio::test]
async fn sites_that_say_nothing_of_their_clients_show_nobody_the_relays_pages() {
    let relay = TestRelay::start(|_| {});
    let by_name = format!("{EXAMPLE} proxy_set_header Host $host;");
    for (lines, status) in [
        (EXAMPLE, "101"),
        (WITHOUT_MAP, "101"),
        (PLAIN, "426"),
        (&by_name, "101"),
    ] {
        let Some(nginx) = Start::before(relay.port()) else {
            return;
        };
        let site = |port| {
            format!(
                "map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
                server {{ listen 127.0.0.1:{port}; location / {{
                    proxy_pass http://127.0.0.1:{}; {lines}
                }} }}",
                relay.port()
            )
        };
        let nginx = nginx.with_site(site).run().listening().await;
        for host in ["relay.example.com", "localhost", "127.0.0.1:9784"] {
            for path in ["/metrics", "/status", "/healthz", "/readyz"] {
                let answer = nginx.ask_as(host, path, "Connection: close\r\n").await;
                assert!(
                    answer.starts_with("HTTP/1.1 403 "),
                    "{lines} {host}: {answer}"
                );
                assert!(answer.contains("This request "), "{lines} {host}: {answer}");
            }
        }
        // And does what it is for.
        let headers = format!("{UPGRADE}Connection: close\r\n");
        let answer = nginx.ask("/", &headers).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{lines}: {answer}");
    }
}
