//! The file over starts of one relay, and of several.

use std::{fs, os::unix::fs::PermissionsExt};

use relay_wire::code::RoomCode;
use tempfile::TempDir;

use super::*;

const HOUR: u64 = 3600;

impl TokenFile {
    /// Has all keys, here and in the file, be so many seconds older.
    fn age(&mut self, seconds: u64) {
        let older = |kept: &mut Kept| kept.keys.iter_mut().for_each(|it| it.made -= seconds);
        self.kept.keys.clear();
        self.change(older);
    }

    /// Makes the key of a new day, if there is one.
    fn renew(&mut self) {
        self.change(|kept| kept.renew(now(), fresh().unwrap()));
    }
}

fn start(folder: &Path) -> (State, TokenFile) {
    let config = Config {
        state_dir: Some(folder.to_owned()),
        ..Config::default()
    };
    let state = State::new(config.clone());
    let file = TokenFile::open(&config).unwrap();
    file.apply(&config, &state);
    (state, file)
}

#[test]
fn a_token_of_one_start_is_good_at_the_next_and_codes_differ() {
    let folder = TempDir::new().unwrap();
    let code = RoomCode::random(6).unwrap();
    let (first, _) = start(folder.path());
    let until = now() + 60;
    let token = first.tokens.keyring().sign(&code, 1, until).unwrap();
    let mode = fs::metadata(folder.path().join(NAME))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let (second, _) = start(folder.path());
    assert!(
        second
            .tokens
            .keyring()
            .verify(&code, &token, now())
            .is_some()
    );
    for _ in 0..1000 {
        let code = RoomCode::random(6).unwrap();
        assert!(!first.tokens.prefers(&code) || !second.tokens.prefers(&code));
    }
}

#[test]
fn what_cannot_be_read_is_made_anew() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(NAME), "{").unwrap();
    let (_, file) = start(folder.path());
    assert_eq!((file.kept.starts, file.kept.keys.len()), (1, 1));
    let kept = read(folder.path()).unwrap().unwrap();
    assert_eq!(kept.keys.len(), 1);
}

#[test]
fn what_nobody_would_write_is_taken_for_what_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(NAME);
    let codes = [7; 32];
    let key = |made| Key {
        made,
        secret: [9; 32],
    };
    let kept = Kept {
        starts: u64::MAX,
        codes,
        keys: (0..u64::from(u8::MAX)).map(key).collect(),
    };
    for text in [
        serde_json::to_vec(&kept).unwrap(),
        Vec::new(),
        vec![0; 10 << 20],
        vec![b'['; MAX_FILE as usize],
        br#"{"starts":-1,"codes":[],"keys":[{}]}"#.to_vec(),
    ] {
        fs::write(&path, text).unwrap();
        let (state, file) = start(folder.path());
        assert!(file.is_there && file.kept.starts < 2);
        assert!(file.kept.keys.len() < 10);
        let code = RoomCode::random(6).unwrap();
        let token = state.tokens.keyring().sign(&code, 1, now() + 60).unwrap();
        let (next, _) = start(folder.path());
        let keyring = next.tokens.keyring();
        assert!(keyring.verify(&code, &token, now()).is_some());
    }
}

#[test]
fn relays_that_start_at_once_share_the_file() {
    const RELAYS: usize = 8;
    let folder = TempDir::new().unwrap();
    let all = std::sync::Barrier::new(RELAYS);
    let started: Vec<_> = std::thread::scope(|threads| {
        let starting = std::array::from_fn::<_, RELAYS, _>(|_| {
            threads.spawn(|| {
                all.wait();
                start(folder.path())
            })
        });
        starting.map(|it| it.join().unwrap()).into()
    });
    let code = RoomCode::random(6).unwrap();
    let (last, file) = start(folder.path());
    assert_eq!(file.kept.starts, RELAYS as u64 + 1, "none is lost");
    for (relay, _) in &started {
        let token = relay.tokens.keyring().sign(&code, 1, now() + 60).unwrap();
        let keyring = last.tokens.keyring();
        assert!(keyring.verify(&code, &token, now()).is_some());
    }
}

#[test]
fn an_old_relay_that_makes_a_key_loses_nothing_of_the_new_one() {
    let folder = TempDir::new().unwrap();
    let (_, mut old) = start(folder.path());
    old.age(25 * HOUR);
    let (new, new_file) = start(folder.path());
    assert_eq!(new_file.kept.keys.len(), 2);
    old.renew();
    let code = RoomCode::random(6).unwrap();
    let token = new.tokens.keyring().sign(&code, 1, now() + 60).unwrap();
    assert!(old.keyring().verify(&code, &token, now()).is_some());
    let (next, file) = start(folder.path());
    assert_eq!(file.kept.starts, 3);
    let keyring = next.tokens.keyring();
    assert!(keyring.verify(&code, &token, now()).is_some());
}

#[test]
fn a_file_that_could_not_be_written_at_first_gets_the_keys_that_count() {
    let folder = TempDir::new().unwrap();
    // A folder of its name is in the way, whoever runs the test.
    let in_the_way = folder.path().join("resume.keys.new");
    fs::create_dir(&in_the_way).unwrap();
    let (state, mut file) = start(folder.path());
    assert!(!file.is_there);
    let code = RoomCode::random(6).unwrap();
    let token = state.tokens.keyring().sign(&code, 1, now() + 60).unwrap();
    fs::remove_dir(&in_the_way).unwrap();
    // Another relay has been quicker.
    start(folder.path());
    file.renew();
    let (next, _) = start(folder.path());
    let keyring = next.tokens.keyring();
    assert!(keyring.verify(&code, &token, now()).is_some());
}

#[test]
fn without_a_folder_there_is_a_key_and_no_file() {
    let state = State::new(Config::default());
    let folder = TempDir::new().unwrap();
    let gone = folder.path().join("gone");
    let (there, file) = start(&gone);
    assert!(!gone.exists() && file.kept.keys.len() == 1);
    let code = RoomCode::random(6).unwrap();
    for state in [state, there] {
        assert!(state.tokens.keyring().sign(&code, 1, now() + 60).is_some());
        assert!(state.tokens.prefers(&code));
    }
}

#[test]
fn a_key_of_yesterday_is_followed_and_kept() {
    let folder = TempDir::new().unwrap();
    let (_, mut file) = start(folder.path());
    file.age(25 * HOUR);
    let old = file.keyring();
    let code = RoomCode::random(6).unwrap();
    let token = old.sign(&code, 1, now() + 60).unwrap();
    let (state, file) = start(folder.path());
    assert_eq!(file.kept.keys.len(), 2);
    let keyring = state.tokens.keyring();
    assert!(keyring.verify(&code, &token, now()).is_some());
    let again = keyring.sign(&code, 1, now() + 60).unwrap();
    assert!(old.verify(&code, &again, now()).is_none(), "by the new key");
}
