//! What is shared arrives.

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use nix::sys::signal::Signal;
use relay_testing::{noise, seeded};

use super::setup::{PASSPHRASE, User, ended, pipe, relay};

#[tokio::test]
async fn a_file_arrives_and_both_say_so_in_json() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let content = noise(&mut seeded(1), 3 << 20);
    alice.file("notes.bin", &content);
    let mut sender = alice.in_json(["share", "notes.bin"]);
    let (code, passphrase) = sender.opened();
    assert_eq!(
        passphrase.split('-').count().max(5),
        passphrase.split('-').count(),
        "five words"
    );

    let receiver = bob
        .distill(["receive", &code, "--json"])
        .env("DISTILL_PASSPHRASE", &passphrase);
    let said = ended(receiver).await;
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(bob.read("notes.bin") == content, "other bytes arrived");
    // Standard output has nothing but objects, and standard error nothing.
    let events: Vec<serde_json::Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.err, "");
    let of = |name: &str| events.iter().find(|it| it["event"] == name).unwrap();
    assert_eq!(
        (of("begun")["name"].as_str(), of("begun")["size"].as_u64()),
        (Some("notes.bin"), Some(3 << 20))
    );
    let last = events.last().unwrap();
    assert_eq!(
        (last["event"].as_str(), last["bytes"].as_u64()),
        (Some("delivered"), Some(3 << 20))
    );
    assert!(
        last["path"].as_str().unwrap().ends_with("notes.bin"),
        "{last}"
    );

    sender.event("proved");
    let delivered = sender.event("delivered");
    assert_eq!(delivered["bytes"], 3 << 20);
    assert_eq!(sender.status().await, 0);
}

#[tokio::test]
async fn people_are_told_what_to_type_and_that_works() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("notes.txt", b"read me");
    let mut sender = alice.distill(["share", "notes.txt"]).spawn().unwrap();
    let word = |line: String| line.split_whitespace().last().unwrap().to_owned();
    let code = word(sender.line_with("  Code "));
    assert_eq!(
        code.find('-'),
        Some(3),
        "{code} has no hyphen in its middle"
    );
    let passphrase = word(sender.line_with("  Passphrase "));
    let line = sender.line_with("distill receive");
    assert_eq!(
        line.trim(),
        format!("distill receive {code} --relay ws://{}", relay.addr())
    );
    let plain = code.replace('-', "");
    sender.line_with(&format!("with the code {plain} and --relay ws://"));
    sender.line_with(&format!("/#{plain}"));

    // The line as it is copied, with the passphrase by a file descriptor, and without the relay of the settings.
    let arguments = line
        .split_whitespace()
        .skip(1)
        .chain(["--passphrase-fd", "3"]);
    let script = format!("cd; unset DISTILL_RELAY; \"$0\" \"$@\" 3<<END\n{passphrase}\nEND\n");
    let said = ended(bob.run(&script, arguments)).await;
    assert_eq!((said.status, said.out.as_str()), (0, ""), "{}", said.err);
    assert_eq!(bob.read("notes.txt"), b"read me");
    assert!(said.err.contains("Saved as "), "{}", said.err);
    // What is there is not written over.
    sender.line_with("has it all");
    assert!(sender.ended().await.success());
}

#[tokio::test]
async fn a_folder_arrives_where_it_is_wanted() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("project/a.txt", b"a");
    let tool = alice.file("project/deep/tool", b"#!/bin/sh\n");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
    let mut sender = alice.in_json(["share", "project"]);
    let (code, passphrase) = sender.opened();
    fs::create_dir(bob.home().join("in")).unwrap();
    let receiver = bob
        .distill(["receive", &code, "-o", "in"])
        .env("DISTILL_PASSPHRASE", passphrase);
    let said = ended(receiver).await;
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(bob.read("in/project/a.txt"), b"a");
    let tool = fs::metadata(bob.home().join("in/project/deep/tool")).unwrap();
    assert_ne!(
        tool.permissions().mode() & 0o100,
        0,
        "it can no longer be run"
    );
    assert_eq!(sender.status().await, 0);
}

#[tokio::test]
async fn standard_input_comes_out_as_standard_output() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let (mut writer, reader) = pipe();
    let sender = alice
        .distill(["share", "-"])
        .env("DISTILL_PASSPHRASE", PASSPHRASE)
        .stdin(reader);
    let mut sender = sender.spawn().unwrap();
    let line = sender.line_with("distill receive");
    let arguments = line
        .split_whitespace()
        .skip(1)
        .chain(["-o", "-", "--quiet"]);
    writer.write_all(b"from one end ").unwrap();
    let receiver = ended(bob.distill(arguments).env("DISTILL_PASSPHRASE", PASSPHRASE));
    let typed = async {
        writer.write_all(b"to the other").unwrap();
        drop(writer);
    };
    let (said, ()) = tokio::join!(receiver, typed);
    assert_eq!(
        (said.status, said.out.as_str()),
        (0, "from one end to the other"),
        "{}",
        said.err
    );
    assert_eq!(said.err, "", "--quiet says nothing");
    assert!(sender.ended().await.success());
}

#[tokio::test]
async fn a_share_that_stays_serves_one_after_another() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("notes.txt", b"for all");
    let mut sender = alice.in_json(["share", "notes.txt", "--stay"]);
    let (code, passphrase) = sender.opened();
    for name in ["first", "second"] {
        let receiver = bob
            .distill(["receive", &code, "-o", name])
            .env("DISTILL_PASSPHRASE", &passphrase);
        let said = ended(receiver).await;
        assert_eq!(said.status, 0, "{}", said.err);
        assert_eq!(bob.read(name), b"for all");
        sender.event("delivered");
    }
    sender.0.signal(Signal::SIGTERM);
    assert_eq!(sender.status().await, 130);
}

#[tokio::test]
async fn a_name_that_steers_terminals_is_refused_and_shown_escaped() {
    let relay = relay();
    let alice = User::of(&relay);
    alice.file("a\x1b[2Jb.txt", b"hostile");
    let said = ended(alice.distill(["share", "a\x1b[2Jb.txt"])).await;
    assert_eq!(said.status, 7, "{}", said.err);
    assert!(
        said.err.contains("a\\u{1b}[2Jb.txt") && !said.err.contains('\x1b'),
        "{:?}",
        said.err
    );
}
