use std::sync::mpsc as std_mpsc;

use actix_rt::Arbiter;

use super::*;
use crate::admin::api::Blocking;
use crate::config::Config;

/// The office of a relay whose only worker does nothing until the sender is dropped.
fn stuck(store: Store) -> (Office, std_mpsc::Sender<()>) {
    let state = Arc::new(State::new(Config {
        workers: 1,
        ..Config::default()
    }));
    let directory = Arc::new(Directory::new(1));
    let office = Office::new(
        Arc::clone(&state),
        Arc::clone(&directory),
        store,
        mpsc::channel(1).0,
    );
    let (begun, begins) = std_mpsc::channel();
    let (release, released) = std_mpsc::channel::<()>();
    Arbiter::new().spawn_fn(move || {
        directory.begin(&state, 0);
        begun.send(()).unwrap();
        // To its end, which is an error.
        let _ = released.recv();
    });
    begins.recv().unwrap();
    (office, release)
}

#[actix_rt::test]
async fn a_worker_that_does_not_answer_is_told_of_and_keeps_nothing_from_being_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(Some(folder.path().to_owned()));
    let (office, release) = stuck(store.clone());
    let block = Blocking {
        network: "192.0.2.7".parse().unwrap(),
        seconds: None,
        force: false,
    };
    let (ended, blocked) = join(office.end("abcdef"), office.block(block)).await;
    let why = ended.unwrap_err().to_string();
    assert_eq!(
        why,
        "no room abcdef is seen; one worker does not answer: it may have that room"
    );
    let done = blocked.unwrap();
    assert_eq!(done.kept, Some(true));
    assert!(
        done.said
            .ends_with("; one worker does not answer: it holds there once it does"),
        "{}",
        done.said
    );
    assert_eq!(store.load().blocks.len(), 1);
    drop(release);
    let why = office.end("abcdef").await.unwrap_err().to_string();
    assert_eq!(why, "there is no room abcdef");
}
