//! What a check says of certificates, and of ports that speak TLS where none was asked for or none where it
//! was.

use relay_testing::{TestRelay, certificate::Certificate, metrics::Metrics, proxy::Proxy};

use crate::doubles::{Double, command::Check};

#[test]
fn bad_certificates_are_told_apart() {
    let relay = TestRelay::start(|_| {});
    for (certificate, part) in [
        (Certificate::expired(), "the certificate has expired"),
        (Certificate::not_yet(), "the certificate is not valid yet"),
        (
            Certificate::for_name("other.example"),
            "the certificate is for another name",
        ),
        (Certificate::of_nobody(), "issuer is unknown"),
        (Certificate::self_signed(), "is self-signed"),
        (Certificate::authority(), "is self-signed"),
    ] {
        let roots = certificate.roots.clone();
        let proxy = Proxy::to(relay.port()).with(certificate).start();
        let url = format!("wss://127.0.0.1:{}", proxy.port);
        let outcome = Check::new(&["check", &url]).trusting(&roots).json();
        outcome.only_trouble("tls", "fail", part);
        outcome.is("relay", "skip", "not tried");
    }
}

#[test]
fn a_certificate_that_has_ended_is_told_with_its_end() {
    let relay = TestRelay::start(|_| {});
    let certificate = Certificate::expired();
    let roots = certificate.roots.clone();
    let proxy = Proxy::to(relay.port()).with(certificate).start();
    let url = format!("wss://127.0.0.1:{}", proxy.port);
    let check = Check::new(&["check", &url, "--metrics"]).trusting(&roots);
    let (status, page) = check.text();
    assert_eq!(status, 2, "{page}");
    let end = Metrics::parse(&page).get("relay_check_certificate_expiry_timestamp_seconds");
    // The first of January in 2001.
    assert_eq!(end, 978_307_200);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let relay = TestRelay::start(|_| {});
    for (days, exit) in [(13, 1), (15, 0)] {
        let certificate = Certificate::ending_in(days);
        let roots = certificate.roots.clone();
        let proxy = Proxy::to(relay.port())
            .with(certificate)
            .rewriting("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
            .start();
        let url = format!("wss://127.0.0.1:{}", proxy.port);
        let outcome = Check::new(&["check", &url]).trusting(&roots).json();
        assert_eq!(outcome.exit, exit, "{}", outcome.json);
        if exit == 1 {
            outcome.only_trouble("tls", "warn", "ends in 13 days");
        }
        // The rest is tried all the same.
        outcome.is("leave", "ok", "");

        // The same for who is no person: the end itself, and whether that is soon.
        let check = Check::new(&["check", &url, "--metrics"]).trusting(&roots);
        let (status, page) = check.text();
        assert_eq!(status, exit, "{page}");
        let metrics = Metrics::parse(&page);
        for (name, worst) in [
            ("relay_check_status", exit),
            (r#"relay_check_step_status{step="tls"}"#, exit),
            (r#"relay_check_step_status{step="leave"}"#, 0),
        ] {
            assert_eq!(metrics.get(name), worst as u64, "{name}");
        }
        let end = metrics.real("relay_check_certificate_expiry_timestamp_seconds");
        let left = end - metrics.real("relay_check_timestamp_seconds");
        assert_eq!((left / 86_400.0) as u64, days, "{page}");
    }
    relay.settled().await;
}

#[test]
fn a_port_of_nginxs_that_wants_tls_is_said_to() {
    let page = "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>";
    for answer in [
        format!(
            "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        ),
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server."
            .to_owned(),
        String::new(),
    ] {
        let double = Double::answering(&answer);
        let outcome = Check::new(&["check", &format!("ws://127.0.0.1:{}", double.port)]).json();
        outcome.only_trouble("relay", "fail", "wss:// in place of ws://");
    }
}

#[test]
fn a_port_without_tls_is_said_to_have_none_and_the_other_way_round() {
    let relay = TestRelay::start(|_| {});
    let url = format!("wss://127.0.0.1:{}", relay.port());
    let certificate = Certificate::for_name("127.0.0.1");
    let outcome = Check::new(&["check", &url])
        .trusting(&certificate.roots)
        .json();
    outcome.only_trouble("tls", "fail", "does not speak TLS");
    let outcome = Check::new(&["check", &url]).trusting("").json();
    outcome.only_trouble("tls", "fail", "trusts no certificate authority");
    let proxy = Proxy::to(relay.port()).with(certificate).start();
    let outcome = Check::new(&["check", &format!("ws://127.0.0.1:{}", proxy.port)]).json();
    outcome.only_trouble("relay", "fail", "wss:// in place of ws://");
}

#[tokio::test]
async fn through_tls_the_relay_must_see_who_calls() {
    let relay = TestRelay::start(|_| {});
    let certificate = Certificate::for_name("127.0.0.1");
    let roots = certificate.roots.clone();
    let silent = Proxy::to(relay.port()).with(certificate.clone()).start();
    let url = format!("wss://127.0.0.1:{}", silent.port);
    let outcome = Check::new(&["check", &url]).trusting(&roots).json();
    outcome.only_trouble("caller", "warn", "only its proxy");
    outcome.is(
        "tls",
        "ok",
        "TLS 1.3, with a valid certificate for 127.0.0.1",
    );
    outcome.is("leave", "ok", "");

    let naming = Proxy::to(relay.port())
        .with(certificate)
        .rewriting("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
        .start();
    let url = format!("wss://127.0.0.1:{}", naming.port);
    let outcome = Check::new(&["check", &url]).trusting(&roots).json();
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    outcome.is("caller", "ok", "behind its proxy");
    relay.settled().await;
}
