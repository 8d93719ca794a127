//! What the kernel tells about the Pod's network, read from `/proc/net`.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::PathBuf,
};

use super::watch::Network;

/// The network namespace that this process is in, through `/proc/net`.
#[derive(Debug)]
pub(crate) struct ProcNet {
    folder: PathBuf,
    /// The tables of sockets. A listener of both families is in that of IPv6 alone, and a Pod without IPv6 has none.
    tables: [&'static str; 2],
}

impl Default for ProcNet {
    fn default() -> Self {
        Self { folder: "/proc/net".into(), tables: ["tcp", "tcp6"] }
    }
}

impl Network for ProcNet {
    fn accepted(&mut self) -> Result<u64, String> {
        let path = self.folder.join("snmp");
        let read = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        passive_opens(&String::from_utf8_lossy(&read)).map_err(|why| format!("{} {why}", path.display()))
    }

    fn anybody_listens(&mut self) -> Option<bool> {
        let mut told = None;
        for whole in [false, true] {
            for index in 0..self.tables.len() {
                let Some(table) = self.read(index, whole) else { continue };
                if table.listeners > 0 {
                    // The kernel walks all sockets to find that a family has no listener, so that this one is asked
                    // first from now on.
                    self.tables.swap(0, index);
                    return Some(true);
                }
                told = Some(false);
            }
        }
        told
    }

    fn backlog(&mut self) -> bool {
        (0..self.tables.len()).any(|index| self.read(index, false).is_some_and(|table| table.backlog))
    }
}

impl ProcNet {
    /// Reads a table, if it is there and is one.
    fn read(&self, index: usize, whole: bool) -> Option<Table> {
        let file = File::open(self.folder.join(self.tables[index])).ok()?;
        Table::read(file, whole).ok().flatten()
    }
}

/// The counter out of `/proc/net/snmp`. Its columns are found by their names, for kernels add some.
fn passive_opens(snmp: &str) -> Result<u64, String> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return Err("has no counters of TCP".into());
    };
    let column = |name: &str| {
        let index = names.split_ascii_whitespace().position(|column| column == name);
        let value = index.and_then(|index| values.split_ascii_whitespace().nth(index));
        value.ok_or_else(|| format!("has no column {name}"))
    };
    let opens = column("PassiveOpens")?;
    let opens = opens.parse().map_err(|_| format!("has {opens:?} in the column PassiveOpens"))?;
    // Sandboxes may have the table and count nothing. Where no segment was ever received, not even a probe's, a
    // counter that stands still proves nothing.
    if column("InSegs") == Ok("0") {
        return Err("counts nothing".into());
    }
    Ok(opens)
}

/// What `/proc/net/tcp` says about listeners.
#[derive(Clone, Copy, Debug, Default)]
struct Table {
    listeners: u32,
    backlog: bool,
}

impl Table {
    /// Reads a table, if it is one. Listeners come first, so that the many connections behind them need not be
    /// read; where none comes first, `whole` looks for them behind, since not every kernel keeps that order.
    fn read(mut file: impl io::Read, whole: bool) -> io::Result<Option<Self>> {
        let mut chunk = [0; 4096];
        let mut text = Vec::new();
        let mut table = None;
        loop {
            let read = match file.read(&mut chunk) {
                Ok(0) => return Ok(table),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            text.extend_from_slice(&chunk[..read]);
            let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in text[..complete].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line = String::from_utf8_lossy(line);
                let Some(table) = &mut table else {
                    if !(line.contains("local_address") && line.contains(" st ")) {
                        return Ok(None);
                    }
                    table = Some(Self::default());
                    continue;
                };
                if !table.row(&line) && !whole {
                    return Ok(Some(*table));
                }
            }
            text.drain(..complete);
        }
    }

    /// Takes in a row, and says whether it is a listener's.
    fn row(&mut self, row: &str) -> bool {
        const LISTEN: &str = "0A";
        let mut columns = row.split_ascii_whitespace().skip(3);
        let (state, queues) = (columns.next(), columns.next());
        if state != Some(LISTEN) {
            return false;
        }
        self.listeners += 1;
        // A listener's receive queue is what waits for `accept`.
        let waiting = queues.and_then(|queues| queues.split_once(':')).map(|(_, received)| received);
        self.backlog |= waiting.is_some_and(|waiting| waiting.bytes().any(|digit| digit != b'0'));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Network as _, ProcNet, Table, passive_opens};

    const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 8888
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails InSegs
Tcp: 1 200 120000 -1 37704 36209 1340 12779460
Udp: InDatagrams
Udp: 7
";
    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    const LISTENER: &str =
        "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41 1\n";
    const BUSY: &str =
        "   0: 00000000:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 41 1\n";
    const CONNECTION: &str =
        "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000005 00:00000000 00000000  1000        0 42 1\n";

    fn folder(snmp: &str, tcp: Option<&str>, tcp6: Option<&str>) -> (tempfile::TempDir, ProcNet) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("snmp"), snmp).unwrap();
        for (name, rows) in [("tcp", tcp), ("tcp6", tcp6)] {
            if let Some(rows) = rows {
                std::fs::write(folder.path().join(name), format!("{HEADER}{rows}")).unwrap();
            }
        }
        let net = ProcNet { folder: folder.path().into(), ..ProcNet::default() };
        (folder, net)
    }

    #[test]
    fn pitfall_48_the_counter_is_found_by_its_name() {
        assert_eq!(passive_opens(SNMP), Ok(36209));
        let reordered = "Tcp: PassiveOpens New InSegs\nTcp: 5 77 9\n";
        assert_eq!(passive_opens(reordered), Ok(5));
        assert_eq!(passive_opens("Tcp: PassiveOpens\nTcp: 18446744073709551615\n"), Ok(u64::MAX));
    }

    #[test]
    fn pitfall_48_what_is_missing_or_malformed_is_named() {
        for (snmp, why) in [
            ("", "has no counters of TCP"),
            ("Tcp: PassiveOpens InSegs\n", "has no counters of TCP"),
            ("Tcp: ActiveOpens InSegs\nTcp: 1 2\n", "has no column PassiveOpens"),
            ("Tcp: InSegs PassiveOpens\nTcp: 1\n", "has no column PassiveOpens"),
            ("Tcp: PassiveOpens InSegs\nTcp: many 2\n", "has \"many\" in the column PassiveOpens"),
            ("Tcp: PassiveOpens InSegs\nTcp: -1 2\n", "has \"-1\" in the column PassiveOpens"),
            ("Tcp: PassiveOpens InSegs\nTcp: 0 0\n", "counts nothing"),
        ] {
            assert_eq!(passive_opens(snmp), Err(why.to_owned()), "{snmp}");
        }
    }

    #[test]
    fn pitfall_48_a_missing_file_is_named() {
        let mut net = ProcNet { folder: "/nowhere".into(), ..ProcNet::default() };
        let why = net.accepted().unwrap_err();
        assert_eq!(why, "/nowhere/snmp: No such file or directory (os error 2)");
        assert_eq!((net.anybody_listens(), net.backlog()), (None, false));
    }

    #[test]
    fn pitfall_46_listeners_of_either_family_are_found_and_a_family_may_be_absent() {
        for (tcp, tcp6, listens, backlog) in [
            (Some(""), None, Some(false), false),
            (Some(""), Some(""), Some(false), false),
            (Some(CONNECTION), Some(CONNECTION), Some(false), false),
            (Some(LISTENER), None, Some(true), false),
            (None, Some(LISTENER), Some(true), false),
            (Some(CONNECTION), Some(LISTENER), Some(true), false),
            (Some(LISTENER), Some(BUSY), Some(true), true),
            (Some(BUSY), Some(CONNECTION), Some(true), true),
            (None, None, None, false),
        ] {
            let (_folder, mut net) = folder(SNMP, tcp, tcp6);
            for _ in 0..2 {
                assert_eq!((net.anybody_listens(), net.backlog()), (listens, backlog), "{tcp:?} {tcp6:?}");
            }
        }
    }

    #[test]
    fn listeners_are_found_behind_connections_too() {
        let rows = [CONNECTION.repeat(500), LISTENER.into()].concat();
        let (_folder, mut net) = folder(SNMP, Some(&rows), None);
        assert_eq!(net.anybody_listens(), Some(true));
    }

    #[test]
    fn what_is_no_table_tells_nothing() {
        for rubbish in [&b""[..], b"garbage", b"garbage\n0A 0A 0A 0A 0A\n", &[0xff; 10_000]] {
            assert!(Table::read(rubbish, true).unwrap().is_none());
        }
    }

    #[test]
    fn connections_behind_the_listeners_are_not_read() {
        struct Counted<'a>(&'a [u8], usize);
        impl std::io::Read for Counted<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let read = self.0.read(buffer)?;
                self.1 += read;
                Ok(read)
            }
        }
        let text = [HEADER, LISTENER, &CONNECTION.repeat(20_000)].concat();
        let mut file = Counted(text.as_bytes(), 0);
        assert_eq!(Table::read(&mut file, false).unwrap().unwrap().listeners, 1);
        assert!(file.1 <= 4096, "{} bytes were read", file.1);
    }
}
