//! The handshakes of other nodes, which bring clients whose rooms are here. Who proves to be a node is believed in what it
//! says of its client; what keeps clients out here keeps out those that are brought.

use std::net::IpAddr;

use actix_http::{RequestHead, Response, body::BoxBody, ws};
use actix_web::http::header;
use relay_wire::{
    code::RoomCode,
    ending::Ending,
    request::{Join, Request, Resume},
    token::ResumeToken,
};

use super::{
    handshake::{Admitted, Door, answer},
    upgrade,
};
use crate::{
    actors::session::Brought,
    cluster::{Cluster, visit::HEADER, welcome::Caller, words::Guest},
    limits::{access::Visitor, rules::Rule},
};

impl Door {
    /// Lets a client in that another node brings, or says to a node that this one is here.
    pub(super) fn admit_node(
        &self,
        head: &RequestHead,
        peer: IpAddr,
        cluster: &Cluster,
        proof: &[u8],
    ) -> Result<Admitted, Response<BoxBody>> {
        let refused = |visitor: &Visitor, ending| answer(ending, Some(visitor), &self.state);
        let caller = Visitor::new(peer);
        if !upgrade::is_well_formed(head) || upgrade::verify(head).is_err() {
            return Err(refused(&caller, Ending::BadHandshake));
        }
        let Some(came) = cluster.admit(proof) else {
            return Err(refused(&caller, Ending::NotANode));
        };
        let key = head.headers.get(header::SEC_WEBSOCKET_KEY);
        let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
        let welcome = cluster.welcome(key);
        let guest = match came {
            Caller::Guest(guest) => guest,
            Caller::Probe => {
                let mut here = Response::ok();
                let value = welcome
                    .parse()
                    .map_err(|_| Response::internal_server_error())?;
                let name = header::HeaderName::from_static(HEADER);
                here.headers_mut().insert(name, value);
                return Err(here.map_into_boxed_body());
            }
        };
        let visitor = Visitor {
            brought: true,
            ..Visitor::new(guest.client)
        };
        if let Rule::Blocked = self.state.rule(&visitor) {
            return Err(refused(&visitor, Ending::AddressBlocked));
        }
        let slot = self
            .slot(&visitor)
            .map_err(|ending| refused(&visitor, ending))?;
        let mut response = ws::handshake_response(head);
        response.insert_header((HEADER, welcome));
        Ok(Admitted {
            response: response.finish().map_into_boxed_body(),
            visitor,
            slot,
            compression: guest.compression,
            brought: Some(brought(&guest)),
        })
    }
}

fn brought(guest: &Guest) -> Brought {
    let code = RoomCode::from_typed(&guest.code);
    let request = match &guest.resume {
        Some(token) => Request::Resume(Resume {
            code,
            token: ResumeToken::from_text(token),
        }),
        None => Request::Join(Join {
            code,
            queue_updates: guest.queue_updates,
        }),
    };
    Brought {
        request,
        pings: guest.pings,
    }
}
