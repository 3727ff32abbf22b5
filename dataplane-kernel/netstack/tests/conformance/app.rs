//! What the app of a script can do and be told.
//!
//! | words | the app |
//! |---|---|
//! | `listen [BACKLOG]`, `unlisten` | listens on the usual port, or no more |
//! | `connect`, `connected`, `failed REASON` | opens a connection; is told that it is open, or not |
//! | `accept`, `knock`, `reject` | is told of a connection and takes it; is told of one; refuses that one |
//! | `send N`, `send N of M` | sends N bytes; M, of which N are taken |
//! | `sent N` | is told that N bytes were acknowledged |
//! | `receive N`, `hold N`, `return` | is given N bytes, and gives the buffers back; keeps them; gives back what it kept |
//! | `eof`, `dead [REASON]` | is told of the peer's FIN; that it is over |
//! | `close`, `shutdown`, `abort` | closes, closes its half, resets |
//! | `keepalive TIME` | probes a silent peer |
//! | `congestion newreno`, `cubic`, `dctcp` | chooses congestion control |
//! | `use N` | speaks of its Nth connection from now on, counted from 0 |
//! | `bind PORT`, `datagram LEN`, `reply LEN`, `replied` | UDP: binds, is given a datagram, sends one to the peer's port 9, is told that it left |
//! | `nothing` | is told nothing |

use crate::subject::{Crate, Flow};
use netstack::{CongestionControl, Error, Event, Id};
use packet_script::frame::payload;
use packet_script::script;
use std::net::SocketAddr;

/// Congestion control by its name.
pub(crate) fn algorithm(name: &str) -> Result<CongestionControl, String> {
    match name {
        "newreno" => Ok(CongestionControl::NewReno),
        "cubic" => Ok(CongestionControl::Cubic),
        "dctcp" => Ok(CongestionControl::Dctcp),
        _ => Err(format!("there is no congestion control {name}")),
    }
}

impl Crate {
    /// Does what the words say, or checks it.
    pub(crate) fn act(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["listen"] => self.listen(8),
            ["listen", backlog] => self.listen(number(backlog)?),
            ["unlisten"] => {
                let listener = self.listener.take().ok_or("it does not listen")?;
                done(self.stack.tcp_unlisten(&mut self.driver, self.now, listener))
            }
            ["connect"] => self.connect(),
            ["connected"] => self.connected(Ok(())),
            ["failed", reason] => self.connected(Err(error(reason)?)),
            ["knock"] => self.knock(),
            ["accept"] => self.accept(),
            ["reject"] => {
                let id = self.knocking.take().ok_or("nobody knocks")?;
                done(self.stack.tcp_reject(&mut self.driver, self.now, id))
            }
            ["send", bytes] => self.send(number(bytes)?, number(bytes)?),
            ["send", taken, "of", bytes] => self.send(number(taken)?, number(bytes)?),
            ["sent", bytes] => self.sent(number(bytes)?),
            ["receive", bytes] => {
                let held = self.hold(number(bytes)?)?;
                self.give_back(held)
            }
            ["hold", bytes] => {
                let held = self.hold(number(bytes)?)?;
                self.held.extend(held);
                Ok(())
            }
            ["return"] => {
                let held = std::mem::take(&mut self.held);
                self.give_back(held)
            }
            ["eof"] => match self.event() {
                Some(Event::Eof { flow, .. }) if flow == self.flow()?.id => Ok(()),
                event => unexpected(event),
            },
            ["dead"] => self.dead(Ok(())),
            ["dead", reason] => self.dead(Err(error(reason)?)),
            ["close"] => {
                let id = self.flow()?.id;
                done(self.stack.tcp_close(&mut self.driver, self.now, id))
            }
            ["shutdown"] => {
                let id = self.flow()?.id;
                done(self.stack.tcp_shutdown(&mut self.driver, self.now, id))
            }
            ["abort"] => {
                let id = self.flow()?.id;
                done(self.stack.tcp_abort(&mut self.driver, self.now, id))
            }
            ["keepalive", idle] => {
                let id = self.flow()?.id;
                done(
                    self.stack
                        .tcp_keepalive(self.now, id, Some(script::duration(idle)?)),
                )
            }
            ["congestion", name] => {
                let (id, algorithm) = (self.flow()?.id, algorithm(name)?);
                done(self.stack.tcp_congestion_control(id, algorithm))
            }
            ["use", flow] => {
                self.current = number(flow)? as usize;
                self.flow().map(drop)
            }
            ["bind", port] => {
                let port = u16::try_from(number(port)?).map_err(|error| error.to_string())?;
                let socket = self.stack.udp_bind(None, port, 0);
                self.sockets.push(socket.map_err(|error| error.to_string())?);
                Ok(())
            }
            ["datagram", bytes] => self.datagram(number(bytes)?),
            ["reply", bytes] => self.reply(number(bytes)?),
            ["replied"] => match self.event() {
                Some(Event::UdpSent { result: Ok(()), .. }) => Ok(()),
                event => unexpected(event),
            },
            ["nothing"] => self.event().map_or(Ok(()), |event| unexpected(Some(event))),
            _ => Err("the app does not understand".into()),
        }
    }

    fn flow(&mut self) -> Result<&mut Flow, String> {
        self.flows
            .get_mut(self.current)
            .ok_or_else(|| "there is no connection".into())
    }

    fn begin(&mut self, id: Id) {
        self.current = self.flows.len();
        self.flows.push(Flow {
            id,
            next_sent: 1,
            next_received: 1,
        });
    }

    fn listen(&mut self, backlog: u32) -> Result<(), String> {
        let port = crate::subject::STATIONS.our_port;
        let listener = self.stack.tcp_listen(None, port, backlog, 0);
        self.listener = Some(listener.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn connect(&mut self) -> Result<(), String> {
        let stations = crate::subject::STATIONS;
        let remote = SocketAddr::new(stations.peer_ip.into(), stations.peer_port);
        let (driver, port) = (&mut self.driver, Some(stations.our_port));
        let connected = self.stack.tcp_connect(driver, self.now, remote, None, port, 0);
        self.begin(connected.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn connected(&mut self, wanted: Result<(), Error>) -> Result<(), String> {
        let id = self.flow()?.id;
        match self.event() {
            Some(Event::Connected { flow, result, .. }) if (flow, result) == (id, wanted) => Ok(()),
            event => unexpected(event),
        }
    }

    fn knock(&mut self) -> Result<(), String> {
        match self.event() {
            Some(Event::Knock { flow, .. }) => {
                self.knocking = Some(flow);
                Ok(())
            }
            event => unexpected(event),
        }
    }

    fn accept(&mut self) -> Result<(), String> {
        if self.knocking.is_none() {
            self.knock()?;
        }
        let id = self.knocking.take().ok_or("nobody knocks")?;
        self.begin(id);
        done(self.stack.tcp_accept(id, 0))
    }

    fn send(&mut self, taken: u32, bytes: u32) -> Result<(), String> {
        let flow = *self.flow()?;
        let span = self.driver.place(&payload(flow.next_sent, bytes));
        let got = self.stack.tcp_send(&mut self.driver, self.now, flow.id, &[span]);
        if got != Ok(taken) {
            return Err(format!("taken: {got:?}"));
        }
        self.flow()?.next_sent += taken;
        Ok(())
    }

    fn sent(&mut self, bytes: u32) -> Result<(), String> {
        let (id, mut told) = (self.flow()?.id, 0);
        while told < bytes {
            match self.event() {
                Some(Event::Sent { flow, len, .. }) if flow == id => told += len,
                event => return unexpected(event),
            }
        }
        if told == bytes {
            Ok(())
        } else {
            Err(format!("{told} bytes were sent"))
        }
    }

    fn hold(&mut self, bytes: u32) -> Result<Vec<u32>, String> {
        let (id, mut got, mut held) = (self.flow()?.id, Vec::new(), Vec::new());
        while got.len() < bytes as usize {
            match self.event() {
                Some(Event::Recv {
                    flow,
                    buf,
                    offset,
                    len,
                    ..
                }) if flow == id => {
                    got.extend_from_slice(self.driver.view(&buf, offset, len));
                    held.push(buf.0);
                }
                event => {
                    self.held.extend(held);
                    return unexpected(event);
                }
            }
        }
        let flow = self.flow()?;
        let wanted = payload(flow.next_received, bytes);
        flow.next_received += bytes;
        if got == wanted {
            Ok(held)
        } else {
            Err(format!("{} bytes, and not the right ones", got.len()))
        }
    }

    fn give_back(&mut self, held: Vec<u32>) -> Result<(), String> {
        for buf in held {
            done(self.stack.rx_done(&mut self.driver, self.now, buf))?;
        }
        Ok(())
    }

    fn dead(&mut self, wanted: Result<(), Error>) -> Result<(), String> {
        let id = self.flow()?.id;
        match self.event() {
            Some(Event::Dead { flow, reason, .. }) if (flow, reason) == (id, wanted) => Ok(()),
            event => unexpected(event),
        }
    }

    fn datagram(&mut self, bytes: u32) -> Result<(), String> {
        match self.event() {
            Some(Event::UdpRecv { buf, offset, len, .. }) => {
                let got = self.driver.view(&buf, offset, len).to_vec();
                self.give_back(vec![buf.0])?;
                if got == payload(0, bytes) {
                    Ok(())
                } else {
                    Err(format!("{len} bytes, or not the right ones"))
                }
            }
            event => unexpected(event),
        }
    }

    fn reply(&mut self, bytes: u32) -> Result<(), String> {
        let socket = *self.sockets.last().ok_or("no socket")?;
        let span = self.driver.place(&payload(0, bytes));
        let peer = SocketAddr::new(crate::subject::STATIONS.peer_ip.into(), 9);
        done(
            self.stack
                .udp_send(&mut self.driver, self.now, socket, peer, &[span], 0),
        )?;
        Ok(())
    }
}

fn unexpected<T>(event: Option<Event>) -> Result<T, String> {
    Err(event.map_or("the app was told nothing".into(), |event| {
        format!("the app was told {event:?}")
    }))
}

fn done(result: Result<(), Error>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

fn number(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn error(word: &str) -> Result<Error, String> {
    Ok(match word {
        "refused" => Error::ConnectionRefused,
        "reset" => Error::ConnectionReset,
        "timeout" => Error::TimedOut,
        "closed" => Error::Closed,
        "aborted" => Error::Aborted,
        "unreachable" => Error::Unreachable,
        _ => return Err(format!("{word} is no reason")),
    })
}
