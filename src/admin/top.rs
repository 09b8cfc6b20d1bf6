//! The live view: a relay is asked again as soon as it has answered, which takes it a second.
//!
//! One thread asks, and this one waits for keys and draws, so that a relay which does not answer keeps nobody
//! from leaving.

use std::{
    io::{self, IsTerminal},
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, Receiver, SyncSender, TryRecvError},
    },
    thread,
    time::Duration,
};

use futures_util::future::select_all;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use relay_wire::text::escaped_json;
use tokio::signal::unix::{SignalKind, signal};

use super::{api::Status, ask::Relay, screen::View, words::print};

/// What is asked for: as many addresses and rooms as a large screen has lines.
const PATH: &str = "/status?rows=60";
/// How long to wait for a key before looking whether the relay has answered.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait before a relay is asked again that does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Shows how a relay is, until somebody presses q. With `json`, prints a line of it each second, until
/// nobody reads them.
///
/// # Errors
///
/// In a sentence: there is no terminal, or no relay at the start.
pub(super) fn run(relay: &Relay, json: bool) -> Result<(), String> {
    if json {
        return stream(relay);
    }
    if !io::stdout().is_terminal() {
        return Err("top is for a terminal; top --json prints a line each second".to_owned());
    }
    let first = relay.get(PATH)?.read()?;
    await_signals().map_err(|error| format!("signals cannot be awaited: {error}"))?;
    let (send, answers) = mpsc::sync_channel(1);
    let relay = relay.clone();
    thread::spawn(move || keep_asking(&relay, &send));
    let mut terminal = ratatui::try_init().map_err(|error| no_terminal(&error))?;
    let shown = show(&mut terminal, View::new(first), &answers);
    ratatui::restore();
    shown.map_err(|error| no_terminal(&error))
}

/// Whether a signal has told it to end: then the terminal is left as it was found.
static TOLD_TO_END: AtomicBool = AtomicBool::new(false);

/// Waits for the signals that end a program, on a thread of its own, from now on.
fn await_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let signals = {
        let _entered = runtime.enter();
        let kinds = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::terminate(),
        ];
        kinds
            .map(signal)
            .into_iter()
            .collect::<io::Result<Vec<_>>>()?
    };
    thread::spawn(move || {
        runtime.block_on(async {
            let signals = signals.into_iter();
            let first = signals.map(|mut signal| Box::pin(async move { signal.recv().await }));
            select_all(first).await;
        });
        TOLD_TO_END.store(true, SeqCst);
    });
    Ok(())
}

fn no_terminal(error: &io::Error) -> String {
    format!("the terminal cannot be used: {error}")
}

fn stream(relay: &Relay) -> Result<(), String> {
    loop {
        let answer = relay.get(PATH)?;
        answer.read::<Status>()?;
        if !print(&format!("{}\n", escaped_json(&answer.text)))? {
            return Ok(());
        }
    }
}

/// Asks until nobody wants to hear it any more.
fn keep_asking(relay: &Relay, heard: &SyncSender<Result<Status, String>>) {
    loop {
        let answer = relay.get(PATH).and_then(|answer| answer.read());
        let failed = answer.is_err();
        if heard.send(answer).is_err() {
            return;
        }
        if failed {
            thread::sleep(ASK_AGAIN);
        }
    }
}

/// Draws what has changed, until it is told to end, by a key or by a signal.
fn show(
    terminal: &mut DefaultTerminal,
    mut view: View,
    answers: &Receiver<Result<Status, String>>,
) -> io::Result<()> {
    let mut is_new = true;
    while !TOLD_TO_END.load(SeqCst) {
        if is_new {
            terminal.draw(|frame| view.draw(frame))?;
        }
        is_new = false;
        if event::poll(LOOK)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let control = key.modifiers.contains(KeyModifiers::CONTROL);
                    match key.code {
                        KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                        KeyCode::Char('c') if control => return Ok(()),
                        _ => {}
                    }
                }
                Event::Resize(..) => is_new = true,
                _ => {}
            }
        }
        match answers.try_recv() {
            Ok(answer) => {
                view.heard(answer);
                is_new = true;
            }
            Err(TryRecvError::Empty) => {}
            // The thread that asks ends after this one.
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
    Ok(())
}
