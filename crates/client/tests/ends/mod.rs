//! Both ends of a share, by the library: what they are started with, what they tell, how they end.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use relay_client::{
    engine::{
        event::{Event, Tell},
        fault::Fault,
        options::{ReceiveOptions, Received, Relay, Secret, ShareOptions, Shared, What, Where},
        receive::receive,
        share::share,
    },
    url::Url,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(100);

/// The passphrase of all shares here.
pub const PASSPHRASE: &str = "correct horse";

/// The relay at this address.
pub fn relay(url: &str) -> Relay {
    Relay {
        url: Url::parse(url).unwrap(),
        key: None,
    }
}

/// What an end tells, in order.
#[derive(Clone)]
pub struct Told(Arc<Mutex<watch::Sender<Vec<Event>>>>);

impl Told {
    fn new() -> (Self, Tell) {
        let told = Self(Arc::new(Mutex::new(watch::Sender::new(Vec::new()))));
        let teller = told.clone();
        let tell = move |event| {
            teller.0.lock().unwrap().send_modify(|all| all.push(event));
        };
        (told, Arc::new(tell))
    }

    /// What was told until now.
    pub fn so_far(&self) -> Vec<Event> {
        self.0.lock().unwrap().borrow().clone()
    }

    /// Waits for the first event of which this finds something.
    pub async fn until<T>(&self, what: &str, mut find: impl FnMut(&Event) -> Option<T>) -> T {
        let mut all = self.0.lock().unwrap().subscribe();
        let looking = all.wait_for(|all| all.iter().any(|event| find(event).is_some()));
        let found = tokio::time::timeout(LIMIT, looking).await;
        let Ok(found) = found else {
            panic!("no {what}: {:?}", self.so_far());
        };
        found.unwrap().iter().find_map(find).unwrap()
    }
}

/// An end at work.
pub struct End<T> {
    pub told: Told,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<T, Fault>>,
}

impl<T: 'static> End<T> {
    /// Waits for its end.
    pub async fn end(self) -> Result<T, Fault> {
        let Self { told, stop, task } = self;
        let end = tokio::time::timeout(LIMIT, task).await;
        drop(stop);
        end.unwrap_or_else(|_| panic!("no end: {:?}", told.so_far()))
            .unwrap()
    }

    /// Lets it leave well, and waits for its end.
    pub async fn stop(mut self) -> Result<T, Fault> {
        if let Some(stop) = self.stop.take() {
            // It may have ended already.
            let _ = stop.send(());
        }
        self.end().await
    }

    /// Ends it where it stands, as a process that is killed.
    pub async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

impl End<Shared> {
    /// The code that it was given.
    pub async fn code(&self) -> String {
        let code = |event: &Event| match event {
            Event::Opened { code, .. } | Event::Resumed { code, .. } => Some(code.clone()),
            _ => None,
        };
        self.told.until("code", code).await
    }
}

/// A share that is about to begin.
pub fn sharing(url: &str, path: &Path) -> ShareOptions {
    ShareOptions {
        relay: relay(url),
        what: What::Path(path.to_owned()),
        passphrase: Some(Secret::new(PASSPHRASE)),
        stay: false,
        expires_in: None,
        patience: LIMIT,
        state: None,
        anew: false,
        version_2_only: false,
    }
}

/// Starts it.
pub fn start_share(options: ShareOptions) -> End<Shared> {
    let (told, tell) = Told::new();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(share(options, tell, async {
        if stopped.await.is_err() {
            std::future::pending().await
        }
    }));
    End {
        told,
        stop: Some(stop),
        task,
    }
}

/// What it takes to receive.
pub fn receiving(url: &str, code: &str, to: &Path) -> ReceiveOptions {
    ReceiveOptions {
        relay: relay(url),
        code: code.to_owned(),
        passphrase: Secret::new(PASSPHRASE),
        to: Where::Path(to.to_owned()),
        version_2_only: false,
        patience: LIMIT,
    }
}

/// Starts it.
pub fn start_receive(options: ReceiveOptions) -> End<Received> {
    let (told, tell) = Told::new();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(receive(options, tell, async {
        if stopped.await.is_err() {
            std::future::pending().await
        }
    }));
    End {
        told,
        stop: Some(stop),
        task,
    }
}

/// Two folders, one for each side.
pub struct Folders {
    _both: tempfile::TempDir,
    pub here: PathBuf,
    pub there: PathBuf,
}

impl Folders {
    pub fn new() -> Self {
        let both = tempfile::tempdir().unwrap();
        let [here, there] = ["here", "there"].map(|name| both.path().join(name));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&there).unwrap();
        Self {
            _both: both,
            here,
            there,
        }
    }

    /// A file to share.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.here.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// Bytes without a pattern, the same each time.
pub fn noise(bytes: usize) -> Vec<u8> {
    relay_testing::noise(&mut relay_testing::seeded(7), bytes)
}
