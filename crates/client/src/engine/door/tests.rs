use std::sync::Arc;

use super::*;
use crate::{
    engine::{
        line::testing::pair,
        options::{Relay, Secret, Where},
        proof::{self, Guard},
    },
    transfer::note::Note,
    url::Url,
};

const ROOM: &str = "a7f3k2";
const PASSPHRASE: &str = "correct horse";
const SALT: Hex<32> = Hex([1; 32]);

fn silent() -> Tell {
    Arc::new(|_| {})
}

fn door(version_2_only: bool) -> Door {
    let options = ReceiveOptions {
        relay: Relay {
            url: Url::parse("ws://127.0.0.1:9").unwrap(),
            key: None,
        },
        code: ROOM.to_owned(),
        passphrase: Secret::new(PASSPHRASE),
        to: Where::Stdout,
        version_2_only,
        patience: STALL,
    };
    Door::new(options, silent()).unwrap()
}

fn guard(version_2_only: bool) -> Guard {
    Guard {
        salt: SALT,
        pass: PassKey::derive(PASSPHRASE, &SALT),
        wrong: 0,
        version_2_only,
    }
}

async fn prove_and_leave(door: &mut Door) -> Result<Proved, Parting> {
    let end = door.prove(ROOM, true).await;
    door.leave().await;
    end
}

/// How it ends before a sender that speaks version 1, and what that hears.
async fn before_version_1(door: &mut Door) -> (Result<Proved, Parting>, Vec<Word>) {
    let (here, mut there) = pair(64 << 10).await;
    let challenge = Word::Challenge {
        version: None,
        salt: SALT,
        nonce: Hex([2; 16]),
        key: None,
    };
    there.say(challenge.to_text()).unwrap();
    door.line = Some(here);
    let sender = async {
        let mut heard = Vec::new();
        while let Ok(Heard::Text(text)) = there.hear().await {
            heard.extend(Word::parse(&text));
        }
        heard
    };
    tokio::join!(prove_and_leave(door), sender)
}

/// Proves the passphrase to a sender that speaks version 2.
async fn before_version_2(door: &mut Door) -> Result<Proved, Parting> {
    let (here, mut there) = pair(64 << 10).await;
    door.line = Some(here);
    let sender = async {
        let proved = guard(true).prove(&mut there, ROOM, &silent()).await;
        let Ok(proof::Proved::Second(schedule)) = proved else {
            unreachable!("version 2");
        };
        let (mut sealer, _) = schedule.of_sender();
        let first = Bytes::from(sealer.note(&Note::Delivered));
        there.say(first).unwrap();
        while there.hear().await.is_ok() {}
    };
    tokio::join!(prove_and_leave(door), sender).0
}

fn is_auth(word: &Word) -> bool {
    matches!(word, Word::Auth { .. })
}

#[tokio::test]
async fn version_1_is_spoken_where_it_may_be() {
    let (end, heard) = before_version_1(&mut door(false)).await;
    assert!(matches!(end, Ok(Proved::First)));
    assert!(heard.iter().any(is_auth), "{heard:?}");
}

#[tokio::test]
async fn version_1_is_given_no_proof_where_it_is_refused() {
    let (end, heard) = before_version_1(&mut door(true)).await;
    assert_eq!(end.err(), Some(Fault::Version1.into()));
    assert!(!heard.iter().any(is_auth), "{heard:?}");
    let mut door = door(true);
    assert!(matches!(
        before_version_2(&mut door).await,
        Ok(Proved::Second(..))
    ));
}

#[tokio::test]
async fn version_1_is_given_no_proof_after_version_2() {
    let mut door = door(false);
    assert!(matches!(
        before_version_2(&mut door).await,
        Ok(Proved::Second(..))
    ));
    let (end, heard) = before_version_1(&mut door).await;
    assert_eq!(end.err(), Some(Fault::Version1.into()));
    assert!(!heard.iter().any(is_auth), "{heard:?}");
}

#[tokio::test]
async fn a_receiver_of_version_1_is_sent_away_where_it_is_refused() {
    let (mut here, mut there) = pair(64 << 10).await;
    there.say(Word::hello_v1().to_text()).unwrap();
    let mut guard = guard(true);
    let sender = async {
        let end = guard.prove(&mut here, ROOM, &silent()).await;
        here.close().await;
        end
    };
    let receiver = async {
        while let Ok(Heard::Text(text)) = there.hear().await {
            assert!(
                matches!(Word::parse(&text), Some(Word::Denied { .. })),
                "{text}"
            );
        }
    };
    let (end, ()) = tokio::join!(sender, receiver);
    assert!(matches!(end.err(), Some(Parting::Refused(_))));
    assert_eq!(guard.wrong, 0, "it has tried no passphrase");
}
