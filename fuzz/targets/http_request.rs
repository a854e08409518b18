//! Requests to the simulated metadata services, answered by each of them.
#![no_main]

use image_build::simulate::http::{Parsed, parse};
use image_build::simulate::{Log, PROVIDERS, Scenario};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Parsed::Whole(request, taken) = parse(data) else {
        return;
    };
    assert!(taken <= data.len());
    for provider in PROVIDERS {
        if let Some(endpoint) = provider.endpoints.first() {
            let scenario = Scenario::new(provider);
            let answer =
                (provider.respond)(&scenario, (*endpoint).into(), &request, &Log::default());
            answer.encode(&request);
        }
    }
});
