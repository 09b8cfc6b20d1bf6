use ratatui::{Terminal, backend::TestBackend};

use super::*;

fn status(troubles: &[&str]) -> Status {
    let json = serde_json::json!({
        "version": "1.2.3 (abc)", "uptime_seconds": 61, "stopping": false, "troubles": troubles,
        "sessions": {"now": 3, "most": 10}, "rooms": {"now": 1, "most": 5},
        "buffered_bytes": {"now": 2048, "most": 4096}, "pairs": 1, "waiting": 2,
        "received_bytes": 1, "sent_bytes": 2,
        "received_bytes_per_sec": 1024, "sent_bytes_per_sec": 2048, "handshakes_per_sec": 4,
        "slow": {"sender": 0, "receiver": 1, "both": 0, "limit": 0},
        "refusals": [{"reason": "room_full", "count": 7, "per_sec": 0}],
        "decided": {"blocks": [], "limits": []}, "kept": true,
        "clients": [{
            "address": "192.0.2.7", "sessions": 3, "rooms": 1, "handshakes": 9, "refused": 1,
            "received_bytes": 1, "sent_bytes": 2, "received_bytes_per_sec": 1024,
            "sent_bytes_per_sec": 2048, "handshakes_per_sec": 0, "share_percent": 100,
            "share_of": "rooms", "decided": "limited"
        }],
        "busiest_rooms": [{
            "room": "abc123", "age_seconds": 60, "open": true, "check": false,
            "sender": "192.0.2.7", "receiver": "192.0.2.8", "receivers": 1, "waiting": 2,
            "down_bytes": 1, "up_bytes": 2, "down_bytes_per_sec": 3, "up_bytes_per_sec": 4,
            "untaken_bytes": 5, "slow": "receiver"
        }]
    });
    serde_json::from_value(json).unwrap()
}

/// The lines of a terminal of this size.
fn lines(view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let screen = terminal.backend().to_string();
    let lines = screen.lines().map(|line| line.trim_matches('"').trim_end());
    lines.map(str::to_owned).collect()
}

#[test]
fn one_screen_has_how_it_is_who_is_there_and_what_is_slow() {
    let lines = lines(&View::new(status(&[])), 130, 20);
    for line in [
        "All is well; up 1 min 1 s, version 1.2.3 (abc)",
        "sessions 3 of 10, rooms 1 of 5, buffered 2.0 KiB of 4.0 KiB; 4 connections a second",
        "in 1.0 KiB/s, out 2.0 KiB/s; 1 pair, 2 waiting; held up: 1 by the receiver",
        "refused so far: 7 room_full",
        "out, a second a column, up to 2.0 KiB/s",
        "q ends this view",
    ] {
        assert!(lines.iter().any(|it| it == line), "{line}: {lines:#?}");
    }
    let with = |start: &str| lines.iter().find(|line| line.starts_with(start)).unwrap();
    assert!(with("abc123").ends_with("receiver"), "{lines:#?}");
    assert!(
        with("192.0.2.7").ends_with("100 % of rooms, limited"),
        "{lines:#?}"
    );
}

#[test]
fn what_is_not_well_stands_at_the_top_and_goes_when_it_is_over() {
    let mut view = View::new(status(&["there are 9 rooms of 9"]));
    let before = lines(&view, 100, 20);
    assert!(before[0].starts_with("Not all is well"), "{before:#?}");
    assert_eq!(before[1], "there are 9 rooms of 9");
    view.heard(Err("nobody answers\u{1b}[2J".to_owned()));
    let silent = lines(&view, 100, 20);
    assert_eq!(silent[1], "nobody answers\\u{1b}[2J");
    view.heard(Ok(status(&[])));
    assert!(lines(&view, 100, 20)[0].starts_with("All is well"));
}

#[test]
fn a_busy_relay_fits_a_small_terminal() {
    let mut busy = status(&[
        "192.0.2.7 connects 212 times a second (claude-distill-relay block 192.0.2.7), and on",
        "there are 9 rooms of 9",
    ]);
    let (room, client) = (busy.busiest_rooms[0].clone(), busy.clients[0].clone());
    busy.busiest_rooms = vec![room; 60];
    busy.clients = vec![client; 60];
    for client in &mut busy.clients {
        client.address = "2001:db8:1234:5678::/64".to_owned();
    }
    let view = View::new(busy);
    let screen = lines(&view, 80, 24);
    let rows = |start: &str| screen.iter().filter(|it| it.starts_with(start)).count();
    assert!(rows("abc123") >= 4, "{screen:#?}");
    assert!(rows("2001:db8:1234:5678::/64") >= 3, "{screen:#?}");
    assert!(screen.iter().any(|it| it == "and on"), "{screen:#?}");
    let with = |start: &str| screen.iter().find(|line| line.starts_with(start)).unwrap();
    assert!(with("abc123").ends_with("receiver"), "{screen:#?}");
    let client = with("2001:db8");
    assert!(client.ends_with("100 % of rooms, limited"), "{screen:#?}");
    assert_eq!(screen[23], "q ends this view");

    let narrow = lines(&view, 24, 8);
    assert!(narrow[0].starts_with("Not all is well"), "{narrow:#?}");
    assert_eq!(narrow[7], "q ends this view");
}

#[test]
fn no_terminal_is_too_small_and_a_long_watch_takes_no_more_memory() {
    let mut view = View::new(status(&["something"]));
    for _ in 0..3 * HISTORY {
        view.heard(Ok(status(&[])));
    }
    assert_eq!(view.rates.len(), HISTORY);
    for (width, height) in [(1, 1), (20, 3), (40, 10), (300, 90)] {
        assert_eq!(lines(&view, width, height).len(), usize::from(height));
    }
}
