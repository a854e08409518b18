//! One HTTP connection of a server in a test.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use image_build::simulate::http::{Parsed, Request, Response, parse};

/// A client that says nothing for so long has gone.
const IDLE: Duration = Duration::from_secs(60);

/// Reads requests, one after the other, and has them answered.
pub(crate) fn serve(
    mut stream: TcpStream,
    mut answer: impl FnMut(&Request, &mut TcpStream) -> Result<()>,
) -> Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let (mut input, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        match parse(&input) {
            Parsed::Incomplete => match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => input.extend_from_slice(&buffer[..n]),
            },
            Parsed::Bad(status) => {
                return stream.write_all(&Response::status(status).encode(&Request::default()));
            }
            Parsed::Whole(request, used) => {
                input.drain(..used);
                answer(&request, &mut stream)?;
                if !request.keep_alive {
                    return Ok(());
                }
            }
        }
    }
}
