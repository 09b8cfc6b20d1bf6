use super::*;

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";

fn keys(pairs: &[(&str, &str)]) -> AccessKeys {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, key)| format!("{name}:{key}"))
        .collect();
    AccessKeys::parse(&pairs.join(",")).unwrap()
}

fn both() -> Access {
    Access::new(&keys(&[("alice", ALICE), ("bob", BOB)]))
}

/// Whose key this shows; `None` for nobody's.
fn whose(access: &Access, query: &str, authorization: &str) -> Option<String> {
    let admitted = access.admit(Shown {
        query: Some(query).filter(|it| !it.is_empty()),
        authorization: Some(authorization.as_bytes()).filter(|it| !it.is_empty()),
    });
    match admitted {
        Ok(key) => Some(key.unwrap().name().to_owned()),
        Err(ending) => {
            assert_eq!(ending, Ending::AccessKeyRequired);
            None
        }
    }
}

/// What shows this key in the query is let in; with its key, where one is asked for.
fn admitted(access: &Access, key: &str) -> Option<Arc<Key>> {
    let query = format!("key={key}");
    let shown = Shown {
        query: Some(&query),
        ..Shown::default()
    };
    access.admit(shown).unwrap()
}

/// Whether who has come with this key, or without one, may be here no longer.
fn is_over(access: &Access, key: Option<&Arc<Key>>) -> bool {
    access.is_over_for(&Visitor {
        key: key.cloned(),
        ..Visitor::new(IpAddr::from([192, 0, 2, 1]))
    })
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[test]
fn a_key_comes_in_the_query_or_as_a_token_or_as_a_password() {
    let access = both();
    for (query, authorization) in [
        (format!("key={ALICE}"), String::new()),
        (format!("room=1&key={ALICE}&x"), String::new()),
        (String::new(), format!("Bearer {ALICE}")),
        (String::new(), format!("bearer   {ALICE} ")),
        (String::new(), basic(&format!("alice:{ALICE}"))),
        (format!("key={ALICE}"), basic("somebody:else")),
        ("key=other".to_owned(), format!("Bearer {ALICE}")),
    ] {
        let found = whose(&access, &query, &authorization);
        assert_eq!(found.as_deref(), Some("alice"), "{query} {authorization}");
    }
    assert_eq!(
        whose(&access, &format!("key={BOB}"), ""),
        Some("bob".into())
    );
}

#[test]
fn nothing_else_is_one() {
    let access = both();
    for (query, authorization) in [
        (String::new(), String::new()),
        ("key=".to_owned(), String::new()),
        (format!("key={}", &ALICE[1..]), String::new()),
        (format!("key={ALICE}x"), String::new()),
        (format!("key={}", ALICE.to_uppercase()), String::new()),
        (format!("Key={ALICE}"), String::new()),
        (format!("key=x&key={ALICE}"), String::new()),
        (ALICE.to_owned(), String::new()),
        (String::new(), ALICE.to_owned()),
        (String::new(), "Bearer".to_owned()),
        (String::new(), format!("Digest {ALICE}")),
        (String::new(), format!("Basic {ALICE}")),
        // Somebody else's, and nobody's.
        (String::new(), basic(&format!("bob:{ALICE}"))),
        (String::new(), basic(&format!(":{ALICE}"))),
        (String::new(), basic(ALICE)),
    ] {
        let found = whose(&access, &query, &authorization);
        assert_eq!(found, None, "{query} {authorization}");
    }
}

#[test]
fn where_no_key_is_asked_for_everybody_may_come() {
    let access = Access::new(&AccessKeys::default());
    assert!(access.admit(Shown::default()).unwrap().is_none());
    assert!(admitted(&access, "whatever").is_none());
    access.configure(&AccessKeys::parse("/a/file").unwrap());
    assert!(access.admit(Shown::default()).is_err(), "nobody has one");
}

#[test]
fn a_key_that_is_withdrawn_knows_and_the_others_stay() {
    let access = both();
    let alice = admitted(&access, ALICE).unwrap();
    let bob = admitted(&access, BOB).unwrap();
    access.configure(&keys(&[("bob", BOB), ("carol", ALICE)]));
    assert!(is_over(&access, Some(&alice)) && !is_over(&access, Some(&bob)));
    assert_eq!(
        whose(&access, &format!("key={ALICE}"), ""),
        Some("carol".into())
    );
}

#[test]
fn what_is_counted_goes_on_under_its_name() {
    let access = Access::new(&keys(&[("alice", ALICE)]));
    let alice = |key: &str| admitted(&access, key).unwrap();
    let before = alice(ALICE);
    let first = Guest::new(Arc::clone(&before));
    first.received(3);
    access.configure(&keys(&[("alice", BOB)]));
    assert!(is_over(&access, Some(&before)));
    let second = Guest::new(alice(BOB));
    second.sent(4);
    let visitor = Visitor {
        key: Some(alice(BOB)),
        ..Visitor::new(IpAddr::from([192, 0, 2, 1]))
    };
    visitor.refused();
    let count = |open| Count {
        name: "alice".to_owned(),
        sessions: 2,
        open,
        refused: 1,
        received: 3,
        sent: 4,
    };
    assert_eq!(access.counts(), [count(2)]);
    drop(first);
    assert_eq!(access.counts(), [count(1)]);
    // Its session goes on.
    access.configure(&AccessKeys::default());
    assert_eq!(access.counts(), [count(1)]);
}

#[test]
fn asking_for_keys_ends_who_came_without_and_asking_for_none_ends_nobody() {
    let access = both();
    let alice = admitted(&access, ALICE).unwrap();
    access.configure(&AccessKeys::default());
    assert!(admitted(&access, ALICE).is_none());
    assert!(!is_over(&access, Some(&alice)) && !is_over(&access, None));
    // The same key is the same.
    access.configure(&keys(&[("alice", ALICE)]));
    assert!(!is_over(&access, Some(&alice)) && is_over(&access, None));
    let check = Visitor {
        check: true,
        ..Visitor::new(IpAddr::from([127, 0, 0, 1]))
    };
    assert!(!access.is_over_for(&check));
    access.configure(&AccessKeys::default());
    access.configure(&keys(&[("bob", BOB)]));
    assert!(is_over(&access, Some(&alice)));
}

#[test]
fn an_ipv4_address_is_one_however_it_is_written() {
    let [mapped, plain] = ["::ffff:192.0.2.77", "192.0.2.77"].map(|it| it.parse().unwrap());
    let visitor = Visitor::new(mapped);
    assert_eq!(visitor.address, plain);
    assert_eq!(visitor.network, Visitor::new(plain).network);
}
