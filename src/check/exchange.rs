//! The way a room is used, step by step: reach the relay, open a room, join it, send data both
//! ways, leave. Each step builds on the one before; the first that fails ends the row, and the
//! clients take leave in any case, so that no room is left behind.

use std::{
    cell::Cell,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::try_join;
use relay_client::{handshake::Greeting, stream::Stream, tls::Tls};
use tokio::{net::TcpStream, task::spawn_blocking, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use super::{
    answer::cut,
    client::{Client, Code, Reply},
    listener, net,
    note::{Note, Outcome, Status},
    plan::{DATA_SIZE, Plan},
    report::{Report, Step},
    target::Target,
    tls,
};

const DNS: Step = Step {
    name: "dns",
    hangs: "no name server answers this machine; the relay may be well",
};
const LISTENING: Step = Step {
    name: "listening",
    hangs: "the machine is down, or a firewall drops what is sent to it",
};
const TLS: Step = Step {
    name: "tls",
    hangs: "the port does not speak TLS, or what listens there hangs",
};
const RELAY: Step = Step {
    name: "relay",
    hangs: "something accepts connections there and says nothing: a relay or a proxy that hangs, or \
            another program",
};
const CALLER: Step = Step {
    name: "caller",
    hangs: "",
};
const ROOM: Step = Step {
    name: "room",
    hangs: "the relay hangs, or a proxy on the way holds messages back (buffering)",
};
const JOIN: Step = Step {
    name: "join",
    hangs: "the relay hangs, or lets nobody else connect",
};
const DATA: Step = Step {
    name: "data",
    hangs: "the way is slow, a proxy holds data back, or RELAY_SESSION_BYTES_PER_SEC is low",
};
const PING: Step = Step {
    name: "ping",
    hangs: "a proxy on the way swallows Pings: idle clients will be cut off",
};
const IDLE: Step = Step {
    name: "idle",
    hangs: "the connection died without a word: a firewall or NAT forgets idle connections",
};
const LEAVE: Step = Step {
    name: "leave",
    hangs: "the relay does not notice who leaves, so that rooms stay until their time is up",
};

/// How long a failed exchange may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to look for who listens.
const LOOKUP: Duration = Duration::from_secs(5);

/// What the steps have built so far.
struct Exchange<'a> {
    target: &'a Target,
    plan: &'a Plan,
    report: &'a mut Report,
    sender: Option<Client>,
    receiver: Option<Client>,
}

/// Does all steps of the exchange that can be done, and notes them.
pub(super) async fn run(target: &Target, plan: &Plan, report: &mut Report) {
    let mut exchange = Exchange {
        target,
        plan,
        report,
        sender: None,
        receiver: None,
    };
    let done = exchange.talk().await.is_some();
    exchange.leave(done).await;
    skip_rest(target.local, plan, report);
}

/// Says of all steps that were not reached that they were not tried.
pub(super) fn skip_rest(local: bool, plan: &Plan, report: &mut Report) {
    let on_the_way: &[_] = if local {
        &[&LISTENING, &RELAY]
    } else {
        &[&DNS, &LISTENING, &TLS, &RELAY, &CALLER]
    };
    report.skip_rest(on_the_way);
    report.skip_rest(&[&ROOM, &JOIN, &DATA, &PING]);
    if plan.idle.is_some() {
        report.skip_rest(&[&IDLE]);
    }
    report.skip_rest(&[&LEAVE]);
}

/// Whether a room could be used as it should be.
pub(super) fn succeeded(report: &Report) -> bool {
    report.is_ok(&DATA)
}

impl Exchange<'_> {
    /// All steps but the last. `None` once one has failed.
    async fn talk(&mut self) -> Option<()> {
        let (target, limit) = (self.target, self.plan.limit);
        let (stream, address) = self.reach().await?;
        let tls = match tls::prepare(target) {
            Ok(tls) => tls,
            Err(note) => {
                self.report.add(TLS.name, note);
                return None;
            }
        };
        let stream: Stream = if target.local {
            Box::new(stream)
        } else {
            let secured = tls::secure(tls.as_ref(), stream);
            self.report.step(&TLS, limit, secured).await?
        };

        let met = self.report.step(&RELAY, limit, meet(target, stream)).await;
        if target.local && !self.report.is_ok(&RELAY) {
            self.name_listener().await;
        }
        let (sender, greeting) = met?;
        if !target.local {
            self.report.add(CALLER.name, caller(target, &greeting));
        }
        let sender = self.sender.insert(sender);
        let code = self.report.step(&ROOM, limit, create(sender)).await?;

        let opened = open(target, tls.as_ref(), address);
        let joined = join(sender, &mut self.receiver, opened, &code, limit / 2);
        self.report.step(&JOIN, limit, joined).await?;
        let receiver = self.receiver.as_mut()?;

        let transfer = transfer(sender, receiver, self.plan);
        self.report.step(&DATA, limit, transfer).await?;
        self.report.step(&PING, limit, ping(sender)).await?;
        if let Some(time) = self.plan.idle {
            let idle = idle(sender, receiver, time);
            self.report.step(&IDLE, time + limit, idle).await?;
        }
        Some(())
    }

    /// Says who listens where our relay should, if the system tells in time: it may have many
    /// processes to look through.
    async fn name_listener(&mut self) {
        let port = self.target.url.port;
        let asked = spawn_blocking(move || listener::owner(port));
        if let Ok(Ok(Some(owner))) = timeout(LOOKUP, asked).await {
            let note = Note::ok(format!("{owner} has port {port}"));
            self.report.add("listener", note);
        }
    }

    /// A TCP connection to the target, and to which of its addresses.
    async fn reach(&mut self) -> Option<(TcpStream, SocketAddr)> {
        let (target, limit) = (self.target, self.plan.limit);
        if target.local {
            let listening = async {
                let (addresses, _) = net::resolve(target).await?;
                net::connect(target, &addresses, limit).await
            };
            return self.report.step(&LISTENING, limit, listening).await;
        }
        let addresses = self.report.step(&DNS, limit, net::resolve(target)).await?;
        let connecting = net::connect(target, &addresses, limit);
        self.report.step(&LISTENING, limit, connecting).await
    }

    /// Takes leave: a step of its own if all went well, and quietly if not.
    async fn leave(&mut self, done: bool) {
        let clients = (self.sender.take(), self.receiver.take());
        match clients {
            (Some(mut sender), Some(mut receiver)) if done => {
                let parting = part(&mut sender, &mut receiver);
                self.report.step(&LEAVE, self.plan.limit, parting).await;
            }
            (None, _) => {}
            (sender, receiver) => {
                let closing = async {
                    for mut client in receiver.into_iter().chain(sender) {
                        client.close().await;
                    }
                };
                // In vain with a relay that hangs; then it sees the sockets closed.
                drop(timeout(FAREWELL.min(self.plan.limit), closing).await);
                let note = Note::skip("connections closed, so that no room is left");
                self.report.add(LEAVE.name, note);
            }
        }
    }
}

/// The handshake, and whether it is our relay that answers it.
async fn meet(target: &Target, stream: Stream) -> Outcome<(Client, Greeting)> {
    let ((client, greeting), _) = Client::open(target, stream).await?;
    let note = if greeting.sees.is_some() {
        Note::ok("claude-distill-relay answers the handshake")
    } else {
        Note::warn("a WebSocket server answers that does not name itself (no X-Relay-Client)")
            .means("another relay or an older one is on this port, or a proxy removes the header")
    };
    Ok(((client, greeting), note))
}

/// Whether the relay sees who calls, or only the proxy before it.
fn caller(target: &Target, greeting: &Greeting) -> Note {
    // The relay speaks no TLS itself: where there is some, there is a proxy.
    let proxy = match &greeting.proxy {
        Some(name) => Some(cut(name)),
        None if target.url.tls => Some("a TLS proxy"),
        None => None,
    };
    match (greeting.sees.as_deref(), proxy) {
        (Some("forwarded"), _) => Note::ok("the relay sees the caller behind its proxy"),
        (Some("direct"), None) => Note::ok("the relay sees the caller, without a proxy"),
        (Some("direct"), Some(proxy)) => Note::warn(format!(
            "the relay sees only its proxy ({proxy}), not who calls"
        ))
        .means("all clients share one budget of requests, and one of them can spend it")
        .next("X-Forwarded-For in the nginx site, and RELAY_TRUSTED_PROXIES of the relay"),
        _ => Note::skip("the server does not say"),
    }
}

async fn create(sender: &mut Client) -> Outcome<Code> {
    let code = sender.create().await?;
    Ok((code, Note::ok("a room was created")))
}

/// Another connection, by the way that is known to lead there.
async fn open(target: &Target, tls: Option<&Tls>, address: SocketAddr) -> Result<Client, Note> {
    let (connected, _) = net::connect(target, &[address], Duration::MAX).await?;
    let (stream, _) = tls::secure(tls, connected.0).await?;
    let ((client, _), _) = Client::open(target, stream).await?;
    Ok(client)
}

async fn join(
    sender: &mut Client,
    receiver: &mut Option<Client>,
    opened: impl Future<Output = Result<Client, Note>>,
    code: &Code,
    patience: Duration,
) -> Outcome<()> {
    // Kept by the caller even if this ends halfway, so that it can take leave.
    let receiver = receiver.insert(opened.await?);
    let Ok(joined) = timeout(patience, receiver.join(code)).await else {
        sender.ping().await?;
        return Err(
            Note::warn("the relay keeps a join waiting, and answers others")
                .means("from this address many wrong codes were tried, so that all wait for a turn")
                .next("the same check in a minute; RELAY_TRUSTED_PROXIES, X-Forwarded-For"),
        );
    };
    joined?;
    let paired = |reply: &Reply| matches!(reply, Reply::PeerJoined);
    sender.expect(paired, "PEER_JOINED").await?;
    Ok((
        (),
        Note::ok("a second client joined, and the first was told"),
    ))
}

async fn transfer(sender: &mut Client, receiver: &mut Client, plan: &Plan) -> Outcome<()> {
    let mut data = vec![0; plan.data];
    getrandom::fill(&mut data)
        .map_err(|error| Note::fail(format!("this machine has no random data: {error}")))?;
    let data = Bytes::from(data);
    let pieces: Vec<_> = (0..data.len())
        .step_by(plan.message)
        .map(|start| data.slice(start..data.len().min(start + plan.message)))
        .collect();
    let began = Instant::now();
    one_way(sender, receiver, &pieces).await?;
    one_way(receiver, sender, &pieces).await?;
    let took = began.elapsed().as_millis();
    let amount = match plan.data {
        DATA_SIZE => "1 MiB".to_owned(),
        less => format!("{less} bytes"),
    };
    Ok((
        (),
        Note::ok(format!(
            "{amount} each way came over unchanged, in {took} ms"
        )),
    ))
}

async fn one_way(from: &mut Client, to: &mut Client, pieces: &[Bytes]) -> Result<(), Note> {
    let send = async {
        for piece in pieces {
            from.send(Message::Binary(piece.clone())).await?;
        }
        Ok(())
    };
    let receive = async {
        for piece in pieces {
            if to.receive().await?.into_data() != piece {
                return Err(Note::fail("the data came over changed")
                    .means("another client's data, or a proxy on the way that alters it"));
            }
        }
        Ok(())
    };
    match try_join(send, receive).await {
        Ok(_) => Ok(()),
        // The other end only hears that somebody left; whoever sent was told why.
        Err(note) => Err(match timeout(Duration::from_secs(1), from.ended()).await {
            Ok(reason) if reason.status == Status::Warn => reason,
            _ => note,
        }),
    }
}

async fn ping(client: &mut Client) -> Outcome<()> {
    let began = Instant::now();
    client.ping().await?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    Ok(((), Note::ok(format!("answered after {took:.1} ms"))))
}

/// Neither client says anything for that long, but for answers to the relay's Pings.
async fn idle(sender: &mut Client, receiver: &mut Client, time: Duration) -> Outcome<()> {
    let (began, pings) = (Instant::now(), Cell::new(0));
    let silence = async { try_join(sender.sit(&pings), receiver.sit(&pings)).await };
    if let Ok(Err(note)) = timeout(time, silence).await {
        if note.status == Status::Warn {
            return Err(note);
        }
        let after = began.elapsed().as_secs();
        return Err(Note::fail(format!(
            "cut off after {after} s of silence: {}",
            note.detail
        ))
        .means("a proxy's idle timeout is shorter than the time between the relay's Pings")
        .next("proxy_read_timeout 1h;   (in the nginx site), and RELAY_PING_INTERVAL under 60"));
    }
    // A connection may be dead without anyone having said so.
    sender.ping().await?;
    receiver.ping().await?;
    let (time, pings) = (time.as_secs_f32(), pings.get());
    let note = Note::ok(format!(
        "both survived {time} s of silence, with {pings} Pings from the relay"
    ));
    Ok(((), note))
}

async fn part(sender: &mut Client, receiver: &mut Client) -> Outcome<()> {
    receiver.close().await;
    let gone = |reply: &Reply| matches!(reply, Reply::PeerDisconnected);
    sender.expect(gone, "PEER_DISCONNECTED").await?;
    sender.close().await;
    Ok(((), Note::ok("both left, and no room is left behind")))
}
