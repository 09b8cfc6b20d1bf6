use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::flow::credit::{
    Full::{self, Part, Whole},
    Share,
};

fn v4(n: u32) -> AddressKey {
    IpAddr::from(Ipv4Addr::from_bits(n)).into()
}

/// An address in this /48, this /56 of it, and this /64 of that.
fn v6(net48: u16, net56: u8, net64: u8) -> AddressKey {
    let bits = u128::from(0x2001_0db8_u32) << 96
        | u128::from(net48) << 80
        | u128::from(net56) << 72
        | u128::from(net64) << 64;
    IpAddr::from(Ipv6Addr::from_bits(bits | 1)).into()
}

fn take(shares: &Shares, client: AddressKey) -> Result<Share, Full> {
    Share::try_take(&shares.of(client), 1)
}

/// Takes one by one for these clients in turns, until all are refused; what they have then.
fn take_all(shares: &Shares, clients: &[AddressKey]) -> Vec<Share> {
    let mut taken = Vec::new();
    loop {
        let before = taken.len();
        taken.extend(clients.iter().filter_map(|&it| take(shares, it).ok()));
        if taken.len() == before {
            return taken;
        }
    }
}

#[test]
fn one_address_has_its_share_and_leaves_the_rest_to_others() {
    let shares = Shares::new(10, 4);
    let taken = take_all(&shares, &[v4(1)]);
    assert_eq!(taken.len(), 4);
    assert_eq!(take(&shares, v4(1)).unwrap_err(), Part);
    let others = take_all(&shares, &[v4(2), v4(3)]);
    assert_eq!((others.len(), shares.whole().used()), (6, 10));
    assert_eq!(take(&shares, v4(4)).unwrap_err(), Whole);
    drop(taken);
    assert_eq!(take_all(&shares, &[v4(1)]).len(), 4);
}

#[test]
fn a_prefix_has_no_more_however_many_networks_it_is_cut_into() {
    let shares = Shares::new(1000, 100);
    let same64 = [v6(1, 0, 0)];
    let same56: Vec<_> = (0..=u8::MAX).map(|n| v6(1, 0, n)).collect();
    let same48: Vec<_> = (0..=u8::MAX)
        .flat_map(|n| [v6(1, n, 0), v6(1, n, n)])
        .collect();
    let taken = [&same64[..], &same56, &same48].map(|all| take_all(&shares, all).len());
    assert_eq!(taken, [100, 200, 300]);
    let two = [same48, vec![v6(2, 0, 0), v6(3, 0, 0)]].concat();
    assert_eq!(take_all(&shares, &two).len(), 500, "another has its own");
}

#[test]
fn what_a_prefix_has_in_one_network_counts_in_another() {
    let shares = Shares::new(1000, 2);
    let first = take_all(&shares, &[v6(1, 0, 0), v6(1, 0, 1)]);
    assert_eq!(first.len(), 4);
    assert_eq!(take(&shares, v6(1, 0, 2)).unwrap_err(), Part);
    let second = take_all(&shares, &[v6(1, 1, 0)]);
    assert_eq!(second.len(), 2);
    assert_eq!(take(&shares, v6(1, 2, 0)).unwrap_err(), Part);
    drop(first);
    assert_eq!(take_all(&shares, &[v6(1, 2, 0)]).len(), 2);
}

#[test]
fn a_share_is_a_quarter_or_the_least_or_what_the_operator_says_and_never_over_the_whole() {
    for (whole, each, least, expected) in [
        (10_000, 0, 1000, 2500),
        (2000, 0, 1000, 1000),
        (500, 0, 1000, 500),
        (10_000, 7, 1000, 7),
        (10, 99, 1, 10),
        (0, 0, 100, 0),
    ] {
        let shares = Shares::chosen(whole, each, least);
        let taken = take_all(&shares, &[v4(1)]).len();
        assert_eq!(taken, expected, "{each} of {whole}, at least {least}");
    }
}

#[test]
fn nobody_is_remembered_for_long_who_has_nothing() {
    let shares = Shares::new(usize::MAX, 10);
    let remembered = || shares.used.lock().unwrap().pools.len();
    let kept: Vec<_> = (0..500)
        .map(|n| take(&shares, v6(n, 0, 0)).unwrap())
        .collect();
    let mut most = 0;
    for n in 0..100_000 {
        drop(take(&shares, v4(n)));
        most = most.max(remembered());
    }
    assert!(most <= 2 * 3 * kept.len() + FEW, "{most}");
    drop(kept);
    for n in 0..10_000 {
        drop(shares.of(v6(n as u16, 0, 0)));
    }
    assert!(remembered() <= FEW, "{}", remembered());
    assert!(shares.used.lock().unwrap().pools.capacity() < 4 * FEW);
}

#[test]
fn a_client_from_a_network_of_its_own_takes_little_memory() {
    const CLIENTS: u16 = 20_000;
    let shares = Shares::new(usize::MAX, 10);
    let mut kept = Vec::with_capacity(CLIENTS.into());
    let memory = allocation_counter::measure(|| {
        kept.extend((0..CLIENTS).map(|n| take(&shares, v6(n, 0, 0)).unwrap()));
    });
    let each = memory.bytes_max / u64::from(CLIENTS);
    // With a session's own 3 KiB it stays within the 4 of README's ceiling.
    assert!(each <= 800, "{each} bytes");
}

proptest! {
    /// Against a list of what is taken.
    #[test]
    fn every_level_holds_whatever_is_taken_and_given_back(
        calls in vec((0..3u16, 0..2u8, 0..2u8, any::<bool>()), 0..200),
    ) {
        let shares = Shares::new(12, 2);
        let mut taken: Vec<(AddressKey, Share)> = Vec::new();
        for (net48, net56, net64, gives_back) in calls {
            let client = v6(net48, net56, net64);
            if gives_back {
                taken.pop();
                continue;
            }
            let has = |network| {
                let held = taken.iter().filter(|(it, _)| it.levels().any(|it| it == network));
                held.count()
            };
            let mut levels = client.levels().zip([2, 4, 6]);
            let fits = levels.all(|(network, limit)| has(network) < limit);
            let expected = match (fits, taken.len() < 12) {
                (true, true) => None,
                (true, false) => Some(Whole),
                (false, _) => Some(Part),
            };
            match take(&shares, client) {
                Ok(share) => {
                    prop_assert_eq!(expected, None);
                    taken.push((client, share));
                }
                Err(full) => prop_assert_eq!(expected, Some(full)),
            }
            prop_assert_eq!(shares.whole().used(), taken.len());
        }
    }
}

#[test]
fn other_limits_count_at_once_and_take_nothing_away() {
    let shares = Shares::new(10, 4);
    let (one, home) = (v4(1), v6(1, 0, 0));
    let taken = [take_all(&shares, &[one]), take_all(&shares, &[home])];
    assert_eq!(taken.each_ref().map(Vec::len), [4, 4]);

    // More for everybody, and for those that are known already.
    shares.choose(100, 6, 0);
    let more = [take_all(&shares, &[one]), take_all(&shares, &[home])];
    assert_eq!(more.each_ref().map(Vec::len), [2, 2]);
    let around = take_all(&shares, &[v6(1, 0, 1), v6(1, 1, 1), v6(1, 2, 1)]);
    assert_eq!(around.len(), 3 * 6 - 6, "a /48 has three times the share");

    // Less, by what is usual: what is taken stays, and nothing is left for anybody.
    shares.choose(8, 0, 3);
    assert_eq!(shares.whole().used(), 24);
    assert_eq!(take(&shares, v4(2)).unwrap_err(), Whole);
    drop((taken, more, around));
    assert_eq!(take_all(&shares, &[one]).len(), 3);
}
