//! `TcpSetOption`.

use crate::command::{Request, duration};
use ix_abi::app::{CongestionControl, FlowOption, PACE_BY_WINDOW, Status};
use netstack::{Error, Id, Stack};

/// Sets an option of a flow. The number of it and its value are checked here, the handle by the stack.
pub(crate) fn set_option(
    stack: &mut Stack,
    flow: Id,
    command: &Request,
) -> Result<Result<(), Error>, Status> {
    let option = FlowOption::from_u64(command.address).ok_or(Status::Invalid)?;
    Ok(match option {
        FlowOption::CongestionControl => {
            let algorithm = match CongestionControl::from_u64(command.len).ok_or(Status::Invalid)? {
                CongestionControl::NewReno => netstack::CongestionControl::NewReno,
                CongestionControl::Cubic => netstack::CongestionControl::Cubic,
                CongestionControl::Dctcp => netstack::CongestionControl::Dctcp,
            };
            stack.tcp_congestion_control(flow, algorithm)
        }
        FlowOption::AskForEcn if command.len == 1 => stack.tcp_ask_for_ecn(flow),
        FlowOption::AskForEcn => return Err(Status::Invalid),
        FlowOption::Pacing => {
            let pacing = match command.len {
                0 => netstack::Pacing::Off,
                PACE_BY_WINDOW => netstack::Pacing::ByWindow,
                rate => netstack::Pacing::BytesPerSecond(rate),
            };
            stack.tcp_pacing(flow, pacing)
        }
        FlowOption::UserTimeout => stack.tcp_user_timeout(flow, duration(command.len)),
    })
}
