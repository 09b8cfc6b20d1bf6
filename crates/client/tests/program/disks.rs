//! Disks that are full or may not be written, and files that change: each is said on both sides, and what has
//! come is kept where it is of use.

use std::{fs, io::Write, path::Path, thread};

use relay_testing::{
    line::{Line, mbit},
    noise,
    program::Program,
    seeded, skip,
};

use super::setup::{IN_JSON, PASSPHRASE, Said, Talker, User, ended, pipe, relay};

/// Runs a script as `bob` in which `disk` is a file system of its own, of 1 MiB, gone with the script. `None`, and
/// said so, where this process may mount nothing.
async fn with_disk(bob: &User, script: &str, code: &str, options: &str) -> Option<Said> {
    let mount = format!("mount -t tmpfs -o size=1m,mode=777{options} tmpfs \"$HOME/disk\"");
    fs::create_dir(bob.home().join("disk")).unwrap();
    let alone = |script: &str| -> Program {
        let script = format!("cd; exec unshare -m sh -c '{mount} && {script}' \"$0\" \"$@\"");
        bob.run(&script, ["receive", code])
            .env("DISTILL_PASSPHRASE", PASSPHRASE)
    };
    if ended(alone("true")).await.status != 0 {
        skip("mounts of its own");
        return None;
    }
    Some(ended(alone(script)).await)
}

/// A share by `alice` that goes on until it is stopped, with its code.
fn shared(alice: &User, name: &str) -> (Talker, String) {
    let mut sender = alice.in_json_under(PASSPHRASE, ["share", name, "--stay"]);
    let (code, _) = sender.opened();
    (sender, code)
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_comes_and_leaves_nothing() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("large", &noise(&mut seeded(1), 2 << 20));
    let (mut sender, code) = shared(&alice, "large");
    let script = r#""$0" "$@" -o disk; echo status $?; ls -A disk"#;
    let Some(said) = with_disk(&bob, script, &code, "").await else {
        return;
    };
    assert_eq!(said.out, "status 7\n", "{}", said.err);
    assert!(said.err.contains("The disk is too small"), "{}", said.err);
    let gone = sender.event("peer_gone");
    assert_eq!(gone["why"], "the receiver's disk is full", "{gone}");
}

#[tokio::test]
async fn a_disk_that_fills_up_under_a_stream_keeps_what_has_come_and_the_rest_comes_later() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let content = noise(&mut seeded(2), 2 << 20);
    let (mut writer, reader) = pipe();
    let sender = alice.run(IN_JSON, ["share", "-"]).stdin(reader);
    let sender = sender.env("DISTILL_PASSPHRASE", PASSPHRASE);
    let mut sender = Talker(sender.spawn().unwrap());
    let (code, _) = sender.opened();
    let feeding = content.clone();
    let fed = thread::spawn(move || writer.write_all(&feeding).unwrap());
    let script = r#""$0" "$@" -o disk/out; echo status $?; ls -A disk; \
        mount -o remount,size=8m disk; "$0" "$@" -o disk/out; echo status $?; ls -A disk; cp disk/out ."#;
    let Some(said) = with_disk(&bob, script, &code, "").await else {
        return;
    };
    assert_eq!(
        said.out, "status 7\nout.part\nout.part.journal\nstatus 0\nout\n",
        "{}",
        said.err
    );
    assert!(said.err.contains("The disk is full."), "{}", said.err);
    assert_eq!(
        sender.event("peer_gone")["why"],
        "the receiver's disk is full"
    );
    assert!(bob.read("out") == content, "other bytes arrived");
    fed.join().unwrap();
    assert_eq!(sender.status().await, 0);
}

#[tokio::test]
async fn a_disk_without_a_byte_to_spare_is_left_as_it_was() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("project/empty/none.txt", b"");
    let (_sender, code) = shared(&alice, "project");
    // Free to the last page: a journal has a name, and not a byte.
    let script = r#"dd if=/dev/zero of=disk/fill bs=4k status=none 2>fill; \
        "$0" "$@" -o disk; echo status $?; ls -A disk; rm disk/fill; "$0" "$@" -o disk; echo status $?; ls -A disk"#;
    let Some(said) = with_disk(&bob, script, &code, "").await else {
        return;
    };
    assert_eq!(
        said.out, "status 7\nfill\nstatus 0\nproject\n",
        "{}",
        said.err
    );
    assert!(said.err.contains("The disk is full."), "{}", said.err);
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_said_on_both_sides() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("a.txt", b"a");
    let (mut sender, code) = shared(&alice, "a.txt");
    let script = r#""$0" "$@" -o disk; echo status $?; ls -A disk"#;
    let Some(said) = with_disk(&bob, script, &code, ",ro").await else {
        return;
    };
    assert_eq!(said.out, "status 7\n", "{}", said.err);
    assert!(said.err.contains("may not be written"), "{}", said.err);
    let gone = sender.event("peer_gone");
    assert_eq!(gone["why"], "the receiver may not write there", "{gone}");
}

/// Shares a file over a line that takes seconds for it, and changes it in the middle.
async fn changed_by(change: impl FnOnce(&Path)) {
    let relay = relay();
    let line = Line::of(mbit(20.0)).lay(relay.addr());
    let (alice, bob) = (User::at(&line.url()), User::of(&relay));
    let path = alice.file("log", &noise(&mut seeded(3), 4 << 20));
    let (mut sender, code) = shared(&alice, "log");
    let mut receiver = bob.in_json_under(PASSPHRASE, ["receive", &code]);
    receiver.event("progress");
    change(&path);
    let failed = receiver.event("failed");
    assert_eq!(failed["reason"], "aborted", "{failed}");
    assert_eq!(
        failed["sentence"],
        "The other side has given up: what is shared has changed since the transfer began."
    );
    assert_eq!(receiver.status().await, 6);
    assert!(!bob.home().join("log").exists());
    let failed = sender.event("failed");
    assert_eq!(failed["reason"], "disk", "{failed}");
    assert!(failed["sentence"].as_str().unwrap().contains("has changed"));
    assert_eq!(sender.status().await, 7);
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_shared_ends_the_share() {
    changed_by(|path| {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"one more line\n").unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_shared_ends_the_share() {
    changed_by(|path| {
        let other = path.with_extension("new");
        // As long as the first, and there at once.
        fs::File::create(&other).unwrap().set_len(4 << 20).unwrap();
        fs::rename(other, path).unwrap();
    })
    .await;
}

/// Nothing of it has been received yet, and what would be sent is not what was announced.
#[tokio::test]
async fn a_file_that_has_grown_before_anybody_came_ends_the_share() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let path = alice.file("log", b"a line\n");
    let (mut sender, code) = shared(&alice, "log");
    fs::write(path, b"a line\nand another\n").unwrap();
    let receiver = bob.distill(["receive", &code]);
    let said = ended(receiver.env("DISTILL_PASSPHRASE", PASSPHRASE)).await;
    assert_eq!(said.status, 6, "{}", said.err);
    assert!(said.err.contains("has changed"), "{}", said.err);
    assert_eq!(sender.status().await, 7);
}

#[tokio::test]
async fn a_home_that_cannot_be_written_keeps_nobody_from_sharing() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("a.txt", b"a");
    let sender = alice.run(IN_JSON, ["share", "a.txt"]);
    let sender = sender.env("XDG_STATE_HOME", "/proc/nobody");
    let mut sender = Talker(sender.spawn().unwrap());
    let warning = sender.event("warning");
    let text = warning["text"].as_str().unwrap();
    assert!(text.starts_with("If this program is killed"), "{text}");
    let (code, passphrase) = sender.opened();
    let receiver = bob.distill(["receive", &code]);
    let said = ended(receiver.env("DISTILL_PASSPHRASE", passphrase)).await;
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(sender.status().await, 0);
}
