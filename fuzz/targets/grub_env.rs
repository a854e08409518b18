//! GRUB's environment block.
#![no_main]

use libfuzzer_sys::fuzz_target;
use updater::grub::{ENV_SIZE, Env, State};

fuzz_target!(|data: &[u8]| {
    let mut block = data.to_vec();
    block.resize(ENV_SIZE, b'#');
    for block in [data, &block] {
        if let Ok(env) = Env::parse(block) {
            if let Ok(again) = env.encode() {
                assert_eq!(Env::parse(&again).as_ref(), Ok(&env));
            }
            let state = State::read(&env);
            if let Ok(block) = state.write() {
                let again = Env::parse(&block).expect("what we write, we read");
                assert_eq!(State::read(&again), state);
            }
        }
    }
});
