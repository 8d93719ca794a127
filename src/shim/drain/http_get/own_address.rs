//! The Pod's own addresses, without asking anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The Pod's own addresses: of IPv4, of IPv6, or else loopback.
///
/// Connecting a UDP socket sends nothing. It only makes the kernel choose the address that it would send from, for
/// which an address that is kept for documentation does as well as any.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let v4 = source(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let v6 = source(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    let own: Vec<IpAddr> = [v4, v6].into_iter().flatten().collect();
    if own.is_empty() { vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] } else { own }
}

/// The address from which the kernel would send there.
fn source(any: IpAddr, there: IpAddr) -> Option<IpAddr> {
    const DISCARD: u16 = 9;
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(there, DISCARD)).ok()?;
    socket.local_addr().ok().map(|local| local.ip()).filter(|own| !own.is_unspecified())
}
