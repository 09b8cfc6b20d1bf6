//! The way of a session from one worker to another.
//!
//! A room and everybody in it are on one thread. A session that asks for a room of another worker
//! goes there before it is answered: its connection becomes a new actor on that thread, and what is
//! left here is empty.

use std::{io, mem, net};

use actix_rt::net::TcpStream;
use log::warn;

use super::{actor::Session, connection::Connection, phase::Phase};
use crate::{actors::messages::Moved, rooms::SessionId};

impl Session {
    /// Goes to the worker of its request.
    pub(super) fn depart(&mut self, stream: Option<TcpStream>) {
        let (Some(mut connection), Some(stream)) = (self.0.take(), stream) else {
            return;
        };
        let waiting = Phase::Waiting { refusal: None };
        let Phase::Moving { worker, moved } = mem::replace(&mut connection.phase, waiting) else {
            return;
        };
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return lost(connection.id, &error),
        };
        let home = connection.directory.home(worker);
        // There is one: nobody is accepted before each worker has started.
        let Some((registry, thread)) = home.map(|it| (it.registry.clone(), it.thread.clone()))
        else {
            return;
        };
        let id = connection.id;
        connection.registry = registry;
        if !thread.spawn_fn(move || arrive(connection, stream, *moved)) {
            lost(id, &io::Error::other("the worker's thread has ended"));
        }
    }
}

/// Goes on as a new actor on this thread.
fn arrive(connection: Connection, stream: net::TcpStream, moved: Moved) {
    match TcpStream::from_std(stream) {
        Ok(stream) => drop(Session::start_on(stream, connection, Some(moved))),
        Err(error) => lost(connection.id, &error),
    }
}

fn lost(id: SessionId, error: &io::Error) {
    warn!("session {} is lost on its way: {error}", id.0);
}
