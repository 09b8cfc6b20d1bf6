//! The way a room is used, step by step: reach the relay, open a room, join it, send data both
//! ways, leave. Each step builds on the one before; the first that fails ends the row, and the
//! clients take leave in any case, so that no room is left behind.

use std::{net::SocketAddr, time::Duration};

use relay_client::{
    handshake::Greeting,
    stream::{Bounded, Stream},
    tls::Tls,
};
use tokio::{net::TcpStream, task::spawn_blocking, time::timeout};

use super::{
    answer::cut,
    client::Client,
    listener, net,
    note::{Note, Outcome},
    pair,
    plan::Plan,
    report::{Report, Step},
    target::{Place, Target},
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

/// How many times as long as a step all of them may take together, and the silence of `--idle` beside it.
const WHOLE: u32 = 3;
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
    exchange
        .report
        .allow(plan.limit * WHOLE + plan.idle.unwrap_or_default());
    let done = exchange.talk().await.is_some();
    exchange.leave(done).await;
    skip_rest(target.place == Place::Relay, plan, report);
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
        let stream: Stream = if target.place == Place::Relay {
            Box::new(stream)
        } else {
            let secured = tls::secure(tls.as_ref(), stream);
            self.report.step(&TLS, limit, secured).await?
        };

        let met = self.report.step(&RELAY, limit, meet(target, stream)).await;
        if target.place == Place::Relay && !self.report.is_ok(&RELAY) {
            self.name_listener().await;
        }
        let (sender, greeting) = met?;
        if target.place != Place::Relay {
            self.report.add(CALLER.name, caller(target, &greeting));
        }
        let sender = self.sender.insert(sender);
        let code = self.report.step(&ROOM, limit, pair::create(sender)).await?;

        let opened = open(target, tls.as_ref(), address);
        let joined = pair::join(sender, &mut self.receiver, opened, &code, limit / 2);
        self.report.step(&JOIN, limit, joined).await?;
        let receiver = self.receiver.as_mut()?;

        let transfer = pair::transfer(sender, receiver, self.plan);
        self.report.step(&DATA, limit, transfer).await?;
        self.report.step(&PING, limit, pair::ping(sender)).await?;
        if let Some(time) = self.plan.idle {
            let idle = pair::idle(sender, receiver, time);
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
    async fn reach(&mut self) -> Option<(Bounded<TcpStream>, SocketAddr)> {
        let (target, limit) = (self.target, self.plan.limit);
        if target.place == Place::Relay {
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
                let parting = pair::part(&mut sender, &mut receiver);
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

/// Another connection, by the way that is known to lead there.
async fn open(target: &Target, tls: Option<&Tls>, address: SocketAddr) -> Result<Client, Note> {
    let (connected, _) = net::connect(target, &[address], Duration::MAX).await?;
    let (stream, _) = tls::secure(tls, connected.0).await?;
    let ((client, _), _) = Client::open(target, stream).await?;
    Ok(client)
}
