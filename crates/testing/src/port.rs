//! A port to listen on that nobody else is given.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};

use socket2::{Domain, Socket, Type};

/// A TCP port of 127.0.0.1 on which nobody listens until somebody is told its number.
pub struct Port {
    number: u16,
    /// Bound, and never listened on: Linux lets a server listen beside it, as servers allow the
    /// address to be reused, but gives the port to nobody who asks for any.
    #[cfg(target_os = "linux")]
    _reservation: Socket,
}

impl Port {
    /// Reserves one, for as long as this is kept.
    pub fn reserve() -> Self {
        let (socket, number) = reserve().expect("a port");
        Self {
            number,
            #[cfg(target_os = "linux")]
            _reservation: socket,
        }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Where a server that was told of it is to be found.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

fn reserve() -> io::Result<(Socket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into())?;
    let bound = socket.local_addr()?.as_socket().map(|addr| addr.port());
    let number = bound.ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, number))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn nobody_listens_there_but_who_is_told() {
        let port = Port::reserve();
        let refused = TcpStream::connect(port.addr()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _listener = TcpListener::bind(port.addr()).unwrap();
        TcpStream::connect(port.addr()).unwrap();
    }
}
