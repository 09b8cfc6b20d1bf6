use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use super::*;

/// Longer than any of it takes.
const LONG: Duration = Duration::from_secs(60);

/// A standard error in the hands of a test: each write waits to be told how it goes.
struct Out {
    outcomes: Receiver<io::Result<()>>,
    written: Sender<String>,
}

impl Write for Out {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.outcomes.recv().unwrap_or(Ok(()))?;
        // Nobody listens any more at the end of a test.
        let _ = self
            .written
            .send(String::from_utf8(lines.to_vec()).unwrap());
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A queue with its writer, and what its writes wait for and bring.
fn begin() -> (Arc<Queue>, Sender<io::Result<()>>, Receiver<String>) {
    let (outcome, outcomes) = mpsc::channel();
    let (written, lines) = mpsc::channel();
    let queue = Arc::new(Queue::new());
    let writer = Arc::clone(&queue);
    thread::spawn(move || {
        let out = Out { outcomes, written };
        writer.write_to(out, |why, lines| format!("{} {lines}\n", why.name()));
    });
    (queue, outcome, lines)
}

/// The writer goes on for good: from here on nothing is in its way.
fn release(outcome: Sender<io::Result<()>>) {
    drop(outcome);
}

fn all(lines: &Receiver<String>) -> Vec<String> {
    let written: String = lines.try_iter().collect();
    written.lines().map(str::to_owned).collect()
}

#[test]
fn lines_are_written_in_their_order() {
    let (queue, outcome, lines) = begin();
    release(outcome);
    for number in 0..1000 {
        queue.push(format!("{number}\n").as_bytes());
    }
    queue.flush(LONG);
    let expected: Vec<_> = (0..1000).map(|number: u32| number.to_string()).collect();
    assert_eq!(all(&lines), expected);
}

#[test]
fn what_does_not_fit_is_left_out_and_told() {
    let (queue, outcome, lines) = begin();
    let line = format!("{}\n", "x".repeat(1023));
    for _ in 0..1000 {
        // Nothing is taken, and this goes on all the same.
        queue.push(line.as_bytes());
    }
    assert!(queue.lock().lines.len() <= MAX_WAITING);
    release(outcome);
    queue.flush(LONG);
    let written = all(&lines);
    let told = written.last().unwrap().strip_prefix("full ").unwrap();
    let told: usize = told.parse().unwrap();
    assert_eq!(written.len() - 1 + told, 1000);
    // One part was with the writer, if it was quick, and one in the queue.
    assert!((256..=512).contains(&(written.len() - 1)), "{told}");
}

#[test]
fn what_could_not_be_written_is_told_when_it_can() {
    let (queue, outcome, lines) = begin();
    queue.push(b"1\n2\n3\n");
    // They fail, and so does the line that tells of them.
    for _ in 0..2 {
        thread::scope(|threads| {
            let flushing = threads.spawn(|| queue.flush(LONG));
            // The writer is not to be done sooner: it would take up the line that tells of them, and wait for its outcome.
            while !queue.lock().hurry {
                assert!(!flushing.is_finished(), "flushed, and nothing is written");
                thread::yield_now();
            }
            outcome.send(Err(io::Error::other("full"))).unwrap();
        });
    }
    assert!(all(&lines).is_empty());
    release(outcome);
    queue.push(b"4\n");
    queue.flush(LONG);
    assert_eq!(all(&lines).concat(), "4full 3");
}

#[test]
fn nobody_waits_for_longer_than_they_like() {
    let (queue, _outcome, lines) = begin();
    queue.push(b"stuck\n");
    queue.flush(Duration::from_millis(1));
    assert!(all(&lines).is_empty());
}

#[test]
fn what_clients_cause_beyond_the_budget_is_told_in_one_line() {
    let (queue, outcome, lines) = begin();
    release(outcome);
    let now = Instant::now();
    let taken = (0..10_000).filter(|_| queue.has_room(None, now)).count();
    queue.flush(LONG);
    // Two where a second has passed meanwhile.
    let told = all(&lines);
    let sum: usize = told
        .iter()
        .map(|line| {
            let number = line.strip_prefix("over_budget ").unwrap();
            number.parse::<usize>().unwrap()
        })
        .sum();
    assert_eq!(sum, 10_000 - taken);
    assert!(taken > 0 && told.len() <= 3, "{told:?}");
}

#[test]
fn what_clients_cause_leaves_room_for_the_rest() {
    let queue = Queue::new();
    let line = vec![b'x'; 1024];
    while queue.lock().lines.len() <= MAX_BEFORE_CLIENTS {
        assert!(queue.has_room(None, Instant::now()));
        queue.push(&line);
    }
    assert!(!queue.has_room(None, Instant::now()));
    let before = queue.lock().lines.len();
    queue.push(b"a warning\n");
    assert_eq!(queue.lock().lines.len(), before + 10);
}
