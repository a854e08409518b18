use super::double::{Answer, ok, serve};
use super::*;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn get(url: &str, limit: Duration) -> Result<Reply> {
    run(async {
        let http = Http::new(Wake::never()).unwrap();
        http.get(url, &[], Instant::now() + limit).await
    })
}

const SHORT: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn statuses_by_class() {
    let double = serve(&[
        ("GET /ok", ok("hello")),
        ("GET /forbidden", Answer::Body(403, vec![])),
        ("GET /flaky", Answer::Flaky(2, b"at last".to_vec())),
        ("GET /broken", Answer::Body(500, vec![])),
    ]);
    let at = |path: &str| format!("{}{path}", double.url);
    assert_eq!(get(&at("/ok"), LONG).unwrap().found().unwrap(), b"hello");
    assert_eq!(get(&at("/absent"), LONG).unwrap().status, 404);
    assert_eq!(get(&at("/forbidden"), LONG).unwrap().found(), None);
    assert_eq!(
        get(&at("/flaky"), LONG).unwrap().found().unwrap(),
        b"at last"
    );
    let error = get(&at("/broken"), SHORT).unwrap_err();
    assert!(
        error.chain().contains("HTTP status 500"),
        "{}",
        error.chain()
    );
    let seen = double.seen.lock().unwrap();
    let count = |path: &str| seen.iter().filter(|s| s.ends_with(path)).count();
    assert_eq!((count("/absent"), count("/flaky")), (1, 3));
    assert!(count("/broken") > 1);
}

#[test]
fn silence_ends_at_the_deadline() {
    let double = serve(&[
        ("GET /silent", Answer::Silent),
        ("GET /garbage", Answer::Garbage),
    ]);
    for path in ["/silent", "/garbage"] {
        let start = std::time::Instant::now();
        let error = get(&format!("{}{path}", double.url), SHORT).unwrap_err();
        assert!(start.elapsed() < SHORT * 2, "{:?}", start.elapsed());
        assert!(
            error.chain().contains("no answer in time"),
            "{}",
            error.chain()
        );
    }
    // Nobody listens on port 1.
    let error = get("http://127.0.0.1:1/", SHORT).unwrap_err();
    assert!(
        error.chain().to_lowercase().contains("refused"),
        "{}",
        error.chain()
    );
}

#[test]
fn slow_is_not_silent() {
    let double = serve(&[("GET /slow", Answer::Slow(SHORT, b"zzz".to_vec()))]);
    assert_eq!(
        get(&format!("{}/slow", double.url), LONG).unwrap().body,
        b"zzz"
    );
}

#[test]
fn huge_answers_are_refused() {
    let double = serve(&[("GET /huge", Answer::Huge(MAX_BODY + (1 << 20)))]);
    let error = get(&format!("{}/huge", double.url), LONG).unwrap_err();
    assert!(
        error.chain().contains("over 16777216 bytes"),
        "{}",
        error.chain()
    );
}

#[test]
fn redirects_stay_on_the_host() {
    let other = serve(&[("GET /", ok("stolen"))]);
    let double = serve(&[
        ("GET /same", Answer::Redirect("/ok".into())),
        ("GET /ok", ok("fine")),
        ("GET /loop", Answer::Redirect("/loop".into())),
        (
            "GET /away",
            Answer::Redirect(other.url.replace("127.0.0.1", "localhost")),
        ),
    ]);
    assert_eq!(
        get(&format!("{}/same", double.url), LONG).unwrap().body,
        b"fine"
    );
    assert_eq!(
        get(&format!("{}/away", double.url), LONG).unwrap().status,
        302
    );
    assert_eq!(
        get(&format!("{}/loop", double.url), LONG).unwrap().status,
        302
    );
    assert!(other.seen.lock().unwrap().is_empty());
}

#[test]
fn detours_keep_the_host_and_refuse_the_rest() {
    let double = serve(&[
        ("GET /hop", Answer::Redirect("http://10.9.0.1/ok".into())),
        (
            "GET /ok",
            Answer::Guarded("host", "10.9.0.1", b"fine".to_vec()),
        ),
    ]);
    let detour = Detour::default().with("10.9.0.1:80", ([127, 0, 0, 1], double.port).into());
    run(async {
        let http = Http::new(Wake::never()).unwrap().detoured(Some(detour));
        let get = async |url: &str, limit| http.get(url, &[], Instant::now() + limit).await;
        assert_eq!(
            get("http://10.9.0.1/hop", LONG).await.unwrap().body,
            b"fine"
        );
        let error = get("http://10.9.0.2/ok", SHORT).await.unwrap_err();
        assert!(error.chain().contains("refused"), "{}", error.chain());
    });
}

#[test]
fn what_is_posted_and_what_comes_back() {
    let double = serve(&[
        ("POST /state", ok("")),
        ("GET /later", Answer::Body(404, vec![])),
    ]);
    run(async {
        let http = Http::new(Wake::never()).unwrap();
        let url = format!("{}/state", double.url);
        let request = Request::post(&url).body("{}");
        let reply = http.send(&request, Instant::now() + LONG).await.unwrap();
        assert_eq!(reply.header("content-length"), Some("0"));
        // Where 404 means not yet.
        let url = format!("{}/later", double.url);
        let request = Request::get(&url).again(|s| s == 404 || is_passing(s));
        assert!(http.send(&request, Instant::now() + SHORT).await.is_err());
    });
}

#[test]
fn messages_hide_credentials() {
    let error = get("http://user:secret@127.0.0.1:1/path?token=secret", SHORT).unwrap_err();
    assert!(!error.chain().contains("secret"), "{}", error.chain());
    assert!(
        get("ftp://example.org/", SHORT)
            .unwrap_err()
            .chain()
            .contains("not an HTTP URL")
    );
}
