//! Makes the machine look like the plan.
