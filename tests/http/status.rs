//! The page at `/status` in a browser, while clients use the relay.

use std::time::Duration;

use ipnet::IpNet;
use relay_testing::{
    DEADLINE, Raw, TestRelay,
    browser::{Browser, Window},
    frame,
    http::get_with,
    port::Port,
    raw_pair,
    skip::is_too_long,
    wire::BINARY,
};
use serde_json::{Value, json};
use tokio::{
    task::{spawn_blocking, yield_now},
    time::{Instant, sleep},
};

use crate::looks;

/// Bytes in a message of the load.
const MESSAGE: usize = 64 << 10;

/// What an expression is in the page, asked while everything else goes on.
async fn value(window: &Window, expression: &str) -> Value {
    let (window, body) = (window.clone(), format!("return {expression};"));
    spawn_blocking(move || window.run(&body, &[]))
        .await
        .unwrap()
}

/// Waits until an expression is true in the page.
async fn until(window: &Window, expression: &str) {
    let deadline = Instant::now() + DEADLINE;
    while value(window, expression).await != json!(true) {
        if Instant::now() > deadline {
            let shown = value(window, "document.querySelector('main').innerText").await;
            panic!("not {expression} in {shown}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// An expression for the text of an element.
fn text(id: &str) -> String {
    format!("document.getElementById('{id}').textContent")
}

/// As the page writes them.
fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.into_iter().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// Sends one message after the other through a pair until `looked` is done, and tells how many bytes they
/// had.
async fn load(pair: &mut (Raw, Raw), looked: impl Future<Output = ()>) -> usize {
    let mut sent = 0;
    let mut looked = std::pin::pin!(looked);
    loop {
        pair.0.send(frame(BINARY, vec![7; MESSAGE])).await;
        sent += pair.1.data(MESSAGE, "a message of the load").await.len();
        tokio::select! {
            biased;
            () = &mut looked => return sent,
            () = yield_now() => {}
        }
    }
}

/// Asks for a room that there is not.
async fn is_refused(stray: &mut Raw) {
    let join = r#"{"type":"JOIN_ROOM","room_id":"222222"}"#;
    stray.send(frame(BINARY, join)).await;
    stray.expect_error("room_not_found").await;
}

#[tokio::test]
async fn the_page_shows_what_clients_have_sent() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let window = browser.window();
    // Who has asked for no room stays as long as anybody looks.
    let relay = TestRelay::start(|config| config.request_timeout = Duration::from_secs(3600));
    let mut pair = raw_pair(&relay).await;
    let mut stray = Raw::connect(&relay).await;
    for _ in 0..3 {
        is_refused(&mut stray).await;
    }
    window.go_to(&format!("http://{}/status", relay.addr()));
    let shows_megabytes = format!("{}.match(/[MG]iB.$/) !== null", text("given"));
    let sent = load(&mut pair, until(window, &shows_megabytes)).await;
    let shown = with_commas(sent);
    for (id, begins) in [
        ("taken", format!("{shown} bytes (")),
        ("given", format!("{shown} bytes (")),
        ("dropped", "0 bytes".to_owned()),
        ("held", "0 bytes".to_owned()),
        ("rooms", "1 of 1,000".to_owned()),
        ("sessions", "3 of 10,000".to_owned()),
        ("state", "Serving.".to_owned()),
        ("stop", "none".to_owned()),
        (
            "refusals",
            "\\nRequests and handshakes that were refused".to_owned(),
        ),
    ] {
        until(window, &format!("{}.startsWith('{begins}')", text(id))).await;
    }
    until(
        window,
        "document.querySelector('#refusals tbody tr:last-child').textContent === 'room_not_found33'",
    )
    .await;
    // Behind the plots are the same figures.
    window.run("document.getElementById('samples').open = true;", &[]);
    let newest = "document.querySelector('#samples tr + tr')";
    let row = format!("0.1.3.{shown}.{shown}.3.");
    let cells = format!("[...{newest}?.cells ?? []].map((cell) => cell.textContent).join('.')");
    until(window, &format!("{cells}.startsWith('{row}')")).await;
    assert_eq!(window.complaints(), [""; 0]);
    is_of_one_file(window, &relay);
    agrees_with(window, &relay).await;
    looks::fits_a_phone(window);
    looks::can_be_read(window);
    looks::is_told_to_screen_readers(window);
    assert_eq!(window.complaints(), [""; 0]);

    // What is read stays where it is while figures change.
    window.run(
        "window.kept = ['#refusals tbody td', '#samples td'].map((it) => document.querySelector(it));
         window.asked = performance.getEntriesByType('resource').length;",
        &[],
    );
    is_refused(&mut stray).await;
    until(window, "window.kept[0].textContent === '4'").await;
    let asked_twice = "performance.getEntriesByType('resource').length >= window.asked + 2";
    until(window, asked_twice).await;
    let kept = value(window, "window.kept.map((it) => it.isConnected)").await;
    assert_eq!(kept, json!([true, true]));

    looks::can_be_worked_by_keys(window);
    looks::tells_what_belongs_together(window);
    nothing_else_runs(window);
}

/// The page shows what the relay tells a program at the same time, or a few seconds later.
async fn agrees_with(window: &Window, relay: &TestRelay) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let shown =
            "['version', 'uptime', 'memory'].map((id) => document.getElementById(id).textContent)";
        let shown = value(window, shown).await;
        let shown = [0, 1, 2].map(|at| shown[at].as_str().unwrap());
        let figures = get_with(relay.addr(), "/status", "Accept: application/json\r\n").unwrap();
        let figures: Value = serde_json::from_str(&figures.body).unwrap();
        assert_eq!(shown[0], figures["version"].as_str().unwrap());
        let (now, most) = shown[2].split_once(" of at most ").unwrap();
        let is_near = |shown: f64, name: &str| {
            let figure = figures["memory"][name].as_f64().unwrap();
            (shown / figure - 1.0).abs() < 0.01
        };
        assert!(is_near(bytes(most), "most"), "{shown:?} {figures}");
        let late = figures["uptime"].as_f64().unwrap() - seconds(shown[1]);
        if is_near(bytes(now), "now") && (0.0..=5.0).contains(&late) {
            return;
        }
        assert!(Instant::now() < deadline, "{shown:?} {figures}");
    }
}

/// How many seconds the page means.
fn seconds(shown: &str) -> f64 {
    let parts: Vec<_> = shown.split(' ').collect();
    let of_part = |part: &[&str]| {
        let of_unit = if part[1] == "s" { 1.0 } else { 60.0 };
        part[0].parse::<f64>().unwrap() * of_unit
    };
    parts.chunks(2).map(of_part).sum()
}

/// How many bytes the page means, also by the second.
fn bytes(shown: &str) -> f64 {
    let (number, unit) = shown.split_once(' ').unwrap();
    let units = ["B", "KiB", "MiB", "GiB"];
    let power = units
        .iter()
        .position(|it| *it == unit.trim_end_matches("/s"));
    number.replace(',', "").parse::<f64>().unwrap() * 1024_f64.powi(power.unwrap() as i32)
}

#[tokio::test]
async fn the_throughput_is_that_of_the_load() {
    // A rate is over ten seconds.
    if is_too_long() {
        return;
    }
    let Some(browser) = Browser::start() else {
        return;
    };
    let window = browser.window();
    let relay = TestRelay::start(|_| {});
    let mut pair = raw_pair(&relay).await;
    let began = Instant::now();
    let shown = "document.querySelector('svg[aria-label^=Throughput]').ariaLabel";
    let mut rates = String::new();
    let sent = load(&mut pair, async {
        let url = format!("http://{}/status", relay.addr());
        let at = window.clone();
        spawn_blocking(move || at.go_to(&url)).await.unwrap();
        until(window, &format!("{shown}.match(/clients [0-9]/) !== null")).await;
        rates = value(window, shown).await.as_str().unwrap().to_owned();
    })
    .await;
    let own = sent as f64 / began.elapsed().as_secs_f64();
    for line in ["taken from clients ", "given to their peers "] {
        let (_, after) = rates.split_once(line).unwrap();
        let (rate, _) = after.split_once(" now").unwrap();
        let ratio = bytes(rate) / own;
        assert!(
            (0.75..=1.25).contains(&ratio),
            "{ratio} of {own} B/s: {rates}"
        );
    }
}

/// The page has asked its own relay for figures, and nobody for anything else.
fn is_of_one_file(window: &Window, relay: &TestRelay) {
    let asked = window.run(
        "return [...new Set(performance.getEntriesByType('resource').map((entry) => entry.name))];",
        &[],
    );
    assert_eq!(asked, json!([format!("http://{}/status", relay.addr())]));
}

/// What slips into the page is not run, and asks nobody for anything.
fn nothing_else_runs(window: &Window) {
    let other = TestRelay::start(|config| config.health_open = true);
    let tried = window.run(
        "const [elsewhere] = arguments;
         const forbidden = new Set();
         document.addEventListener('securitypolicyviolation', (it) => forbidden.add(it.effectiveDirective));
         const script = document.createElement('script');
         try { script.text = 'window.ran = true'; } catch {}
         script.append('window.ran = true');
         document.body.append(script);
         const image = document.createElement('img');
         try { image.setAttribute('onerror', 'window.ran = true'); } catch {}
         image.src = '/healthz';
         document.body.append(image);
         // What a driver runs may do this, and what a page runs may not.
         setTimeout(() => {
           try { window.ran = eval('true'); } catch {}
           try { window.ran = new Function('return true')(); } catch {}
         });
         const line = document.createElement('p');
         line.setAttribute('style', 'position: fixed');
         document.body.append(line);
         const style = document.createElement('style');
         style.append('p { position: fixed; }');
         document.body.append(style);
         const asked = fetch(elsewhere, { mode: 'no-cors' }).then(() => 'answered', () => 'forbidden');
         const waited = new Promise((resolve) => setTimeout(resolve, 200));
         return Promise.all([asked, waited]).then(([asked]) =>
           [window.ran === true, getComputedStyle(line).position, asked, [...forbidden].sort()]);",
        &[&format!("http://{}/healthz", other.addr())],
    );
    assert_eq!(tried[0], json!(false), "{tried}");
    assert_eq!(tried[1], json!("static"), "{tried}");
    assert_eq!(tried[2], json!("forbidden"), "{tried}");
    for directive in [
        "connect-src",
        "img-src",
        "require-trusted-types-for",
        "style-src-attr",
        "style-src-elem",
    ] {
        let forbidden = tried[3].as_array().unwrap();
        assert!(
            forbidden.contains(&json!(directive)),
            "{directive}: {tried}"
        );
    }
    let complaints = window.complaints();
    for forbidden in ["TrustedScript", "/healthz"] {
        let complained = complaints.iter().any(|it| it.contains(forbidden));
        assert!(complained, "{forbidden}: {complaints:#?}");
    }
}

#[tokio::test]
async fn the_page_says_that_the_relay_stops_and_that_it_is_gone() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let window = browser.window();
    let port = Port::reserve();
    let again = |allowed: &[IpNet]| {
        TestRelay::start(|config| {
            config.port = port.number();
            config.metrics_allow = allowed.to_vec();
        })
    };
    let mut relay = TestRelay::start(|config| {
        config.port = port.number();
        config.drain_timeout = Duration::from_secs(3600);
        config.max_rooms = 1;
    });
    let (sender, receiver) = raw_pair(&relay).await;
    window.go_to(&format!("http://{}/status", relay.addr()));
    let full = "Not ready: the relay is full of rooms.";
    until(window, &format!("{} === '{full}'", text("state"))).await;
    relay.stop();
    until(
        window,
        &format!("{}.startsWith('pairs have 59 min ')", text("stop")),
    )
    .await;
    until(window, &format!("{}.startsWith('Stopping')", text("state"))).await;
    drop((sender, receiver));
    relay.join().await.unwrap();
    let is_well = "document.getElementById('state').classList.contains('well')";
    let says = |begin: &str| format!("{}.startsWith('{begin}') && !{is_well}", text("state"));
    let gone = "The relay does not answer. Last answer at ";
    until(window, &says(gone)).await;
    until(window, &format!("{}.startsWith('0 bytes')", text("taken"))).await;

    // Another relay there, which then shows its page to nobody any more.
    let serving = format!("{} === 'Serving.' && {is_well}", text("state"));
    let relay = again(&["127.0.0.0/8".parse().unwrap()]);
    until(window, &serving).await;
    drop(relay);
    until(window, &says(gone)).await;
    let relay = again(&[]);
    let refused = "The relay answers with 403: Only the relay\\'s operator";
    until(window, &says(refused)).await;
    drop(relay);
    let _relay = again(&["127.0.0.0/8".parse().unwrap()]);
    until(window, &serving).await;

    // In the background nothing is asked for, until somebody looks again.
    let hide = "(hidden) => {
        Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }";
    window.run(
        &format!(
            "({hide})(true);
             const now = Date.now;
             Date.now = () => now() + 3600000;
             window.restore = () => {{ Date.now = now; ({hide})(false); }};"
        ),
        &[],
    );
    until(
        window,
        &says("The relay was not asked for a while. Last answer at "),
    )
    .await;
    window.run("window.restore();", &[]);
    until(window, &serving).await;

    // A page that fails says that it is the page.
    window.run(
        "window.shows = show; show = () => { throw new Error('of a test'); };",
        &[],
    );
    until(window, &says("This page has failed (Error: of a test)")).await;
    window.run("show = window.shows;", &[]);
    until(window, &serving).await;

    // A relay of another version has a page of its own.
    window.run("window.old = true; version = 'another';", &[]);
    until(window, &format!("window.old === undefined && {serving}")).await;
}
