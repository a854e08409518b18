//! A metadata server for tests: answers from a table, misbehaves on demand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How one path behaves.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Body(u16, Vec<u8>),
    /// Only with this header (name in lower case, value); else 401.
    Guarded(&'static str, &'static str, Vec<u8>),
    /// 503 this often, then the body.
    Flaky(u32, Vec<u8>),
    /// Accepts and says nothing.
    Silent,
    /// Answers after this long.
    Slow(Duration, Vec<u8>),
    /// Sends this many bytes, without announcing a length.
    Huge(usize),
    Redirect(String),
    /// Not HTTP.
    Garbage,
}

pub(crate) struct Double {
    pub(crate) url: String,
    pub(crate) port: u16,
    /// `METHOD /path` of every request.
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
}

/// Serves `METHOD /path` -> answer; anything else is 404.
pub(crate) fn serve(table: &[(&str, Answer)]) -> Double {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let table: HashMap<String, Answer> = table
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.clone()))
        .collect();
    let table = Arc::new(Mutex::new(table));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (table, log) = (table.clone(), log.clone());
            std::thread::spawn(move || drop(one(stream, &table, &log)));
        }
    });
    Double {
        url: format!("http://127.0.0.1:{port}"),
        port,
        seen,
    }
}

pub(crate) fn ok(body: &str) -> Answer {
    Answer::Body(200, body.as_bytes().to_vec())
}

fn one(
    mut stream: TcpStream,
    table: &Mutex<HashMap<String, Answer>>,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let key = first
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ");
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    log.lock().unwrap().push(key.clone());
    let answer = {
        let mut table = table.lock().unwrap();
        match table.get_mut(&key) {
            Some(Answer::Flaky(0, body)) => Answer::Body(200, body.clone()),
            Some(Answer::Flaky(left, _)) => {
                *left -= 1;
                Answer::Body(503, Vec::new())
            }
            Some(answer) => answer.clone(),
            None => Answer::Body(404, b"no such thing".to_vec()),
        }
    };
    match answer {
        Answer::Guarded(name, value, body) => {
            let right = headers.get(name).is_some_and(|v| v == value);
            if right {
                body_of(&mut stream, 200, &body)
            } else {
                body_of(&mut stream, 401, b"")
            }
        }
        Answer::Body(status, body) => body_of(&mut stream, status, &body),
        Answer::Flaky(..) => body_of(&mut stream, 500, b""),
        Answer::Silent => reader.read(&mut [0]).map(drop),
        Answer::Slow(time, body) => {
            std::thread::sleep(time);
            body_of(&mut stream, 200, &body)
        }
        Answer::Huge(len) => {
            stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
            let block = [b'x'; 1 << 16];
            (0..len.div_ceil(block.len())).try_for_each(|_| stream.write_all(&block))
        }
        Answer::Redirect(to) => write!(
            stream,
            "HTTP/1.1 302 X\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        Answer::Garbage => stream.write_all(b"SSH-2.0-OpenSSH_10.0\r\n"),
    }
}

fn body_of(stream: &mut TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}
