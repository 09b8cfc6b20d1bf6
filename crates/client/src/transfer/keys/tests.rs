use serde_json::Value;

use super::*;
use crate::transfer::{
    hello::Payload,
    note::{Chain, Note},
    packing::Unpacker,
    seal::Opened,
    v1,
};

/// What tests/vectors.py has made, with libraries that are not ours.
fn vectors(version: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../../tests/vectors.json")).unwrap();
    all[version].clone()
}

fn text<'a>(vectors: &'a Value, name: &str) -> &'a str {
    vectors[name].as_str().unwrap()
}

fn hex<const N: usize>(vectors: &Value, name: &str) -> Hex<N> {
    Hex::parse(text(vectors, name)).unwrap()
}

#[test]
fn version_1_is_that_of_the_vectors() {
    let it = vectors("version_1");
    let key = PassKey::derive(text(&it, "passphrase"), &hex(&it, "salt"));
    let nonce = hex(&it, "nonce");
    assert_eq!(v1::proof(&key, &nonce), hex(&it, "proof"));
    assert!(v1::is_proved_by(&key, &nonce, &hex(&it, "proof")));
    let payload = Payload {
        salt: hex(&it, "payload_salt"),
        nonce: hex(&it, "payload_nonce"),
        ciphertext: ::hex::decode(text(&it, "ciphertext")).unwrap(),
        session_id: None,
    };
    let key = PassKey::derive(text(&it, "passphrase"), &payload.salt);
    let content = v1::open(&key, payload).unwrap();
    assert_eq!(content, text(&it, "content").as_bytes());
}

#[test]
fn the_keys_of_version_2_are_those_of_the_vectors() {
    let it = vectors("version_2");
    let schedule = schedule(&it);
    assert_eq!(Hex(schedule.transcript), hex(&it, "transcript"));
    assert_eq!(schedule.proof(), hex(&it, "proof"));
    assert!(schedule.is_proved_by(&hex(&it, "proof")));
    assert_eq!(Hex(schedule.to_receiver), hex(&it, "to_receiver"));
    assert_eq!(Hex(schedule.to_sender), hex(&it, "to_sender"));
}

fn schedule(it: &Value) -> Schedule {
    let pass_key = PassKey::derive(text(it, "passphrase"), &hex(it, "salt"));
    assert_eq!(Hex(*pass_key.as_bytes()), hex(it, "pass_key"));
    let exchange = Exchange {
        room: text(it, "room"),
        receiver: &hex(it, "receiver_key"),
        sender: &hex(it, "sender_key"),
        salt: &hex(it, "salt"),
        nonce: &hex(it, "nonce"),
    };
    Schedule::from_shared(&hex::<32>(it, "shared").0, &exchange, &pass_key)
}

#[test]
fn the_messages_of_version_2_are_those_of_the_vectors() {
    let it = vectors("version_2");
    let schedule = schedule(&it);
    let (sealer_of_sender, opener_of_sender) = schedule.of_sender();
    let (sealer_of_receiver, opener_of_receiver) = schedule.of_receiver();
    let mut unpacker = Unpacker::new().unwrap();
    for (direction, mut sealer, mut opener) in [
        ("from_sender", sealer_of_sender, opener_of_receiver),
        ("from_receiver", sealer_of_receiver, opener_of_sender),
    ] {
        let mut content = it["content"].as_array().unwrap().iter();
        for said in it[direction].as_array().unwrap() {
            let sealed = ::hex::decode(text(said, "message")).unwrap();
            if sealed[0] != 1 {
                sealer.bind(hex(&it, "transfer"));
                opener.bind(hex(&it, "transfer"));
            }
            let mut message = sealed.clone();
            let again = match opener.open(&mut message).unwrap() {
                Opened::Note(note, body) => {
                    assert_eq!(body, text(said, "body").as_bytes());
                    if let Note::Entry(header) = &note {
                        assert_eq!(header.to_json(), body);
                        let mut chain = Chain::default();
                        chain.add(body);
                        assert_eq!(chain.0, hex(&it, "digest"));
                    }
                    sealer.note(&note)
                }
                Opened::Data(data, record) => {
                    let unpacked = unpacker.unpack(&data, record).unwrap();
                    let hash = digest::digest(&digest::SHA256, unpacked);
                    let expected = content.next().unwrap().as_str().unwrap();
                    assert_eq!(::hex::encode(hash), expected);
                    let mut message = sealed[..sealed.len() - 16].to_vec();
                    message.truncate(crate::transfer::note::Data::HEAD);
                    message.extend_from_slice(record);
                    sealer.data(&data, &mut message);
                    message
                }
            };
            assert_eq!(::hex::encode(again), text(said, "message"));
        }
    }
}

/// PROTOCOL.md has a part of the vectors, some of them over several lines.
#[test]
fn the_page_has_the_vectors() {
    let page = include_str!("../../../../../PROTOCOL.md");
    let page: String = page.split_whitespace().collect();
    let it = vectors("version_2");
    for name in [
        "passphrase",
        "room",
        "salt",
        "nonce",
        "receiver_private",
        "receiver_key",
        "sender_private",
        "sender_key",
        "shared",
        "pass_key",
        "transcript",
        "proof",
        "to_receiver",
        "to_sender",
        "transfer",
        "digest",
    ] {
        assert!(page.contains(text(&it, name)), "{name}");
    }
    let record = text(&it["from_sender"][2], "message");
    let delivered = text(&it["from_receiver"][2], "message");
    assert!(page.contains(record) && page.contains(delivered));
}

/// Both sides of an exchange, with these passphrases.
fn pair(room: [&str; 2], passphrases: [&[u8; 32]; 2]) -> (Schedule, Schedule) {
    let (receiver, sender) = (Ephemeral::new().unwrap(), Ephemeral::new().unwrap());
    let (receiver_key, sender_key) = (*receiver.public(), *sender.public());
    let exchange = |room| Exchange {
        room,
        receiver: &receiver_key,
        sender: &sender_key,
        salt: &Hex([1; 32]),
        nonce: &Hex([2; 16]),
    };
    let keys = passphrases.map(|bytes| PassKey::from_bytes(*bytes));
    let ours = Schedule::agree(receiver, &sender_key, &exchange(room[0]), &keys[0]).unwrap();
    let theirs = Schedule::agree(sender, &receiver_key, &exchange(room[1]), &keys[1]).unwrap();
    (ours, theirs)
}

#[test]
fn both_sides_come_to_the_same_keys_and_nobody_else_does() {
    let (receiver, sender) = pair(["a", "a"], [&[1; 32], &[1; 32]]);
    assert!(sender.is_proved_by(&receiver.proof()));
    let manifest = Note::Delivered;
    let mut message = sender.of_sender().0.note(&manifest);
    assert!(receiver.of_receiver().1.open(&mut message).is_ok());

    let (receiver, sender) = pair(["a", "a"], [&[1; 32], &[2; 32]]);
    assert!(!sender.is_proved_by(&receiver.proof()));
    let (receiver, sender) = pair(["a", "b"], [&[1; 32], &[1; 32]]);
    assert!(!sender.is_proved_by(&receiver.proof()));
}

#[test]
fn what_is_no_point_of_the_curve_is_no_key() {
    for peer in [Hex([0; 65]), Hex([4; 65])] {
        let own = Ephemeral::new().unwrap();
        let public = *own.public();
        let exchange = Exchange {
            room: "a",
            receiver: &peer,
            sender: &public,
            salt: &Hex([1; 32]),
            nonce: &Hex([2; 16]),
        };
        let key = PassKey::from_bytes([1; 32]);
        assert!(Schedule::agree(own, &peer, &exchange, &key).is_err());
    }
}
