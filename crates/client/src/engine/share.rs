//! The sender: a room, and one receiver after another.

use std::{pin::pin, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{
    asks::{self, Room, Says},
    event::{Event, Tell, Warning},
    fault::Fault,
    keeper::{self, Keeper, Opened},
    line::{Heard, Line},
    options::{ShareOptions, Shared, What},
    pairing::{self, LONGEST, Parting},
    proof::{Guard, Proved},
    retry::Retry,
    sending::Sending,
    trouble::{Kind, Trouble},
    version1,
};
use crate::{
    disk::{share_state::ShareState, source::Source},
    transfer::{
        hex::Hex,
        note::Manifest,
        seal::{Opener, Sealer},
        window::Holds,
    },
};

/// How long a relay may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a receiver may take to leave, once it has everything or was told that it has to.
const LEAVE: Duration = Duration::from_secs(10);

/// Whether a share of this was begun by a process that was killed, and can be taken up: under its code, and
/// without its passphrase.
pub fn can_be_taken_up(options: &ShareOptions) -> bool {
    Keeper::new(options).is_ok_and(Keeper::any_kept)
}

/// Whether today's other clients can receive it, too. A file that is not too long for them is read for that.
pub fn is_for_others(what: &What) -> bool {
    version1::is_served(what)
}

/// Shares until a receiver has everything, or with `stay` until `stop` is ready. Then the room is closed.
///
/// # Errors
///
/// [`Fault`]; [`Fault::Interrupted`] where `stop` came first.
pub async fn share(
    options: ShareOptions,
    tell: Tell,
    stop: impl Future<Output = ()> + Send,
) -> Result<Shared, Fault> {
    let mut stop = pin!(stop);
    let opening = Sender::open(options, tell);
    let mut sender = tokio::select! {
        sender = opening => sender?,
        () = &mut stop => return Err(Fault::Interrupted),
    };
    let end = tokio::select! {
        end = sender.run() => end,
        () = stop => Err(Fault::Interrupted),
    };
    sender.close(end.as_ref().err()).await;
    end
}

/// A sender at work.
struct Sender {
    options: ShareOptions,
    tell: Tell,
    source: Source,
    manifest: Manifest,
    guard: Guard,
    room: Option<Opened>,
    keeper: Keeper,
    line: Option<Line>,
    /// The keys of the attempt that goes on.
    keys: Option<(Sealer, Opener)>,
    retry: Retry,
    shared: Shared,
    /// Bytes of content put on the line since the last delivery.
    sent: u64,
    /// What its lines usually hold for.
    holds: Holds,
}

impl Sender {
    /// With all that a share needs before there is a line: what is shared, its state, its key.
    async fn open(options: ShareOptions, tell: Tell) -> Result<Self, Fault> {
        let (wanted, told) = (options.clone(), Tell::clone(&tell));
        let opening = spawn_blocking(move || keeper::open(&wanted, &told)).await;
        let (source, keeper, share) = opening.map_err(|_| Fault::failed())??;
        let left_out = source.left_out();
        let left_out = left_out.links + left_out.devices;
        if left_out > 0 {
            tell(Event::Warning(Warning::LeftOut(left_out)));
        }
        Ok(Self {
            retry: Retry::new(options.patience, &tell),
            manifest: source.manifest(share.transfer),
            guard: Guard {
                salt: share.salt,
                pass: share.pass,
                wrong: share.wrong,
                version_2_only: options.version_2_only,
            },
            room: share.room,
            options,
            tell,
            source,
            keeper,
            line: None,
            keys: None,
            shared: Shared::default(),
            sent: 0,
            holds: Holds::default(),
        })
    }

    /// Leaves, which ends the room. What was kept of the share goes with it, unless it may still be taken up.
    async fn close(mut self, why: Option<&Fault>) {
        if why.is_some_and(leaves_the_room) && self.keeper.load().is_some() {
            return;
        }
        if let Some(mut line) = self.line.take() {
            pairing::say_interrupted(&mut line, self.keys.take());
            line.close().await;
        }
        self.keeper.forget();
    }

    async fn run(&mut self) -> Result<Shared, Fault> {
        loop {
            let trouble = match self.on_a_line().await {
                Ok(()) => return Ok(self.shared),
                // Anybody who knows the code can say it. It costs the line, and no share.
                Err(Trouble::Over(Fault::TooLong)) => {
                    Trouble::later(Kind::Peer, "a receiver says more than it may", None)
                }
                Err(trouble) => trouble,
            };
            if let Trouble::Over(fault) = trouble {
                return Err(fault);
            }
            // Without a Close, which would end the room.
            self.line = None;
            if self.room.as_ref().is_some_and(|room| room.token.is_none()) {
                return Err(Fault::RoomLost);
            }
            self.retry.wait(trouble).await?;
        }
    }

    /// Until the line is lost, or all that is wanted is done.
    async fn on_a_line(&mut self) -> Result<(), Trouble> {
        self.enter().await?;
        self.retry.reached();
        loop {
            if self.guard.is_over() {
                return Err(Fault::TooManyWrongPassphrases.into());
            }
            self.receiver().await?;
            (self.tell)(Event::PeerJoined);
            match self.serve().await {
                Ok(bytes) => {
                    self.delivered(bytes);
                    // Where no other receiver is served, nobody needs this one to leave.
                    if !self.options.stay {
                        drop(timeout(LEAVE, self.part()).await);
                        return Ok(());
                    }
                    self.part().await?;
                }
                Err(Parting::Trouble(trouble)) => return Err(trouble),
                // Another receiver begins anew, and finds what is there now.
                Err(Parting::NotThere(fault)) if !self.options.stay => return Err(fault.into()),
                Err(parting) => {
                    let why = parting.why();
                    (self.tell)(Event::PeerGone { why });
                    // A restart is no way to guess on.
                    self.keep();
                    if parting != Parting::Left && !self.guard.is_over() {
                        self.part().await?;
                    }
                }
            }
        }
    }

    fn delivered(&mut self, bytes: u64) {
        self.shared.receivers += 1;
        self.retry.progress();
        let sent = std::mem::take(&mut self.sent);
        (self.tell)(Event::Delivered { bytes, sent });
    }

    /// Opens the room, or takes it up again.
    async fn enter(&mut self) -> Result<(), Trouble> {
        (self.tell)(Event::Connecting);
        let line = Line::open(&self.options.relay, LONGEST).await?;
        let line = self.line.insert(line);
        let asked = match &self.room {
            Some(Opened { code, token, .. }) => {
                asks::resume(code, token.as_deref().unwrap_or_default())
            }
            None => asks::create(self.options.expires_in),
        };
        line.say(asked)?;
        let answered = timeout(ANSWER, answer(line)).await;
        let room = match answered.map_err(|_| Trouble::unreached("it does not answer a request"))? {
            Ok(room) => room,
            Err(Trouble::Over(Fault::NoSuchRoom)) => return Err(self.lost().into()),
            Err(trouble) => return Err(trouble),
        };
        self.entered(room);
        Ok(())
    }

    /// What it means that the room cannot be taken up again.
    fn lost(&self) -> Fault {
        match &self.room {
            Some(room) if Instant::now() >= room.until => Fault::Expired,
            _ => Fault::RoomLost,
        }
    }

    fn entered(&mut self, room: Room) {
        let expires_in = room.life();
        let (code, resumable) = (room.room_id.clone(), room.resume_token.is_some());
        let again = self.room.is_some();
        self.room = Some(Opened {
            code: room.room_id,
            token: room.resume_token,
            until: Instant::now() + expires_in,
        });
        self.keep();
        if again {
            (self.tell)(Event::Resumed { code, expires_in });
            return;
        }
        (self.tell)(Event::Opened {
            code,
            expires_in,
            resumable,
        });
        if !resumable {
            (self.tell)(Event::Warning(Warning::NotResumable));
        }
    }

    /// Keeps what it takes to go on should this process be killed.
    fn keep(&mut self) {
        let Some(Opened {
            code,
            token: Some(token),
            until,
        }) = &self.room
        else {
            return;
        };
        let left = until.saturating_duration_since(Instant::now());
        let state = ShareState {
            code: code.clone(),
            resume_token: token.clone(),
            salt: self.guard.salt,
            pass_key: Hex(*self.guard.pass.as_bytes()),
            transfer: self.manifest.transfer,
            expires: keeper::now() + left.as_secs(),
            wrong: self.guard.wrong,
        };
        if let Err(error) = self.keeper.save(&state) {
            (self.tell)(keeper::not_kept(&error));
            // A half of it would be of no use.
            std::mem::take(&mut self.keeper).forget();
        }
    }

    /// Waits for the next receiver.
    async fn receiver(&mut self) -> Result<(), Trouble> {
        let line = self.line.as_mut().ok_or(Fault::RoomLost)?;
        loop {
            let Heard::Text(text) = line.hear().await? else {
                continue;
            };
            match Says::parse(&text) {
                Some(Says::PeerJoined { peer_id }) => {
                    line.pair_with(peer_id);
                    return Ok(());
                }
                Some(Says::Error(refusal)) => line.note(Some(refusal)),
                _ => {}
            }
        }
    }

    /// Serves one receiver; how many bytes it has now.
    async fn serve(&mut self) -> Result<u64, Parting> {
        let line = self.line.as_mut().ok_or(Parting::Left)?;
        let room = self.room.as_ref().map(|room| room.code.as_str());
        let proved = self
            .guard
            .prove(line, room.unwrap_or_default(), &self.tell)
            .await?;
        match proved {
            Proved::Second(schedule) => {
                let keys = self.keys.insert(schedule.of_sender());
                let mut sending = Sending::new(line, keys, &self.source, self.holds);
                let end = sending.run(&self.manifest, &self.tell).await;
                self.sent += sending.sent;
                self.shared.sent += sending.sent;
                if sending.moved {
                    self.retry.progress();
                    if end.is_err() {
                        self.holds = sending.dropped();
                    }
                }
                self.keys = None;
                end
            }
            Proved::First => {
                (self.tell)(Event::Warning(Warning::OldReceiver));
                let bytes =
                    version1::serve(line, &self.options.what, &self.guard, &self.tell).await?;
                self.sent += bytes;
                self.shared.sent += bytes;
                Ok(bytes)
            }
        }
    }

    /// Waits until the receiver has left. One that does not is sent away where the room outlives its line.
    async fn part(&mut self) -> Result<(), Trouble> {
        let resumable = self.room.as_ref().is_some_and(|room| room.token.is_some());
        let line = self.line.as_mut().ok_or(Fault::RoomLost)?;
        match timeout(LEAVE, left(line)).await {
            Ok(left) => left,
            Err(_) if resumable => {
                let why = "a receiver does not leave, and is sent away";
                Err(Trouble::later(Kind::Peer, why, None))
            }
            Err(_) => left(line).await,
        }
    }
}

/// Whether the room may still be there, for the same share to be taken up.
fn leaves_the_room(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Replaced
            | Fault::Unreachable(_)
            | Fault::NotARelay(_)
            | Fault::KeyRefused
            | Fault::Busy(_)
            | Fault::PeerLost(_)
            | Fault::Machine(_)
    )
}

/// Waits until the receiver has left. What else it says is for nobody.
async fn left(line: &mut Line) -> Result<(), Trouble> {
    loop {
        let heard = line.hear().await?;
        if let Err(Parting::Left) = pairing::sift(line, heard) {
            return Ok(());
        }
    }
}

/// The room that was asked for.
async fn answer(line: &mut Line) -> Result<Room, Trouble> {
    loop {
        let Heard::Text(text) = line.hear().await? else {
            continue;
        };
        match Says::parse(&text) {
            Some(Says::RoomCreated(room) | Says::RoomResumed(room)) => {
                return match asks::is_code(&room.room_id) {
                    true => Ok(room),
                    false => Err(Fault::NotARelay("its code is none".to_owned()).into()),
                };
            }
            Some(Says::Error(refusal)) => return Err(refusal.into()),
            _ => {}
        }
    }
}
