//! Waits between attempts, and says so.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    event::{Event, Tell},
    fault::Fault,
    trouble::{Kind, Trouble},
    waits::Waits,
};

/// How long a relay is tried that was never reached: its address may be wrong.
const NEVER_REACHED: Duration = Duration::from_secs(15);

/// A line that has stood for so long was no failure: patience and doubling begin anew with it.
const STOOD: Duration = Duration::from_secs(60);

/// The attempts of one share or receipt.
pub(super) struct Retry {
    patience: Duration,
    waits: Waits,
    /// Since when the line stands.
    reached: Option<Instant>,
    tell: Tell,
}

impl Retry {
    pub(super) fn new(patience: Duration, tell: &Tell) -> Self {
        Self {
            patience,
            waits: Waits::new(Instant::now(), patience.min(NEVER_REACHED)),
            reached: None,
            tell: Tell::clone(tell),
        }
    }

    /// The relay has been reached, and has let us in.
    pub(super) fn reached(&mut self) {
        let now = Instant::now();
        self.reached = Some(now);
        self.waits.reached(now, self.patience);
    }

    /// Content has moved: patience and doubling begin anew.
    pub(super) fn progress(&mut self) {
        self.waits = Waits::new(Instant::now(), self.patience);
    }

    /// Waits until it is time to come back.
    ///
    /// # Errors
    ///
    /// The fault, where coming back does not help, or patience is over.
    pub(super) async fn wait(&mut self, trouble: Trouble) -> Result<(), Fault> {
        let later = match trouble {
            Trouble::Over(fault) => return Err(fault),
            Trouble::Later(later) => later,
        };
        match self.reached.take().map(|since| since.elapsed()) {
            // Who is let in each time, and waits for a side that does nothing, has a patience as well.
            Some(stood) if later.kind == Kind::Idle => self.waits.spend(stood),
            Some(stood) if stood >= STOOD => self.progress(),
            _ => {}
        }
        if later.kind == Kind::Busy {
            // It has said so itself: its address is right.
            self.waits.reached(Instant::now(), self.patience);
        }
        let chance = rand::random();
        let wait = self
            .waits
            .next(Instant::now(), later.pace, later.told, chance);
        let Some(again_in) = wait else {
            return Err(later.out_of_patience());
        };
        let why = later.why;
        (self.tell)(match later.kind {
            Kind::Line => Event::LineLost { why, again_in },
            Kind::Unreached | Kind::Busy | Kind::Peer | Kind::Idle => {
                Event::Waiting { why, again_in }
            }
        });
        sleep(again_in).await;
        Ok(())
    }
}
