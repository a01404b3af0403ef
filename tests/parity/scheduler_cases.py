"""What both sides do with their schedulers: one made-up model, many configurations, whole trajectories."""

from __future__ import annotations

import inspect
import json
from typing import Any

SD: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SPACINGS = [{"timestep_spacing": name, "steps_offset": 1} for name in ("linspace", "leading", "trailing")]
WARPS: list[dict[str, Any]] = [
    {name: True} for name in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
]
PREDICTIONS = [{"prediction_type": name} for name in ("epsilon", "sample", "v_prediction")]
TWO = [*PREDICTIONS[:1], *PREDICTIONS[2:]]
BETAS = [{"beta_schedule": name} for name in ("linear", "scaled_linear", "squaredcos_cap_v2")]
ZERO = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
THRESHOLD = {"thresholding": True, "sample_max_value": 1.5}
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
NOISE = {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}
MU = {"num_inference_steps": 5, "mu": 0.9}
SHIFT = {"use_dynamic_shifting": True}

# class → (configuration, arguments of set_timesteps, arguments of step)
Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def cases(*configs: dict[str, Any], steps: int = 7, base: dict[str, Any] | None = None) -> list[Case]:
    return [({**(SD if base is None else base), **config}, {"num_inference_steps": steps}, {}) for config in configs]


CASES: dict[str, list[Case]] = {
    "DDPMScheduler": [
        *cases({}, *SPACINGS, *PREDICTIONS, *BETAS, ZERO, THRESHOLD),
        *cases({"beta_schedule": "sigmoid"}, {"clip_sample": False}),
        *cases(*({"variance_type": kind} for kind in ("fixed_small_log", "fixed_large", "learned", "learned_range"))),
        ({}, {"timesteps": [900, 500, 40, 3]}, {}),
        ({"trained_betas": [i / 100 for i in range(1, 21)], "num_train_timesteps": 20}, {"num_inference_steps": 5}, {}),
        ({}, {}, {}),
    ],
    "DDIMScheduler": [
        *cases({}, *SPACINGS, *PREDICTIONS, *BETAS, ZERO, THRESHOLD, {"clip_sample": False, "set_alpha_to_one": False}),
        (SD, {"num_inference_steps": 6}, {"eta": 0.7}),
        (SD, {"num_inference_steps": 6}, {"eta": 1.0, "use_clipped_model_output": True}),
    ],
    "DDIMInverseScheduler": cases({}, *SPACINGS[1:], *TWO, {"clip_sample": False, "set_alpha_to_one": False}),
    "PNDMScheduler": [
        *cases({}, *SPACINGS, *TWO, *BETAS, {"set_alpha_to_one": True}, steps=8),
        *cases({"skip_prk_steps": True}, *({"skip_prk_steps": True, **more} for more in (*SPACINGS, *TWO)), steps=6),
    ],
    "LCMScheduler": [
        *cases({}, *PREDICTIONS, THRESHOLD, {"clip_sample": True}, ZERO, {"original_inference_steps": 20}, steps=4),
        (SD, {"num_inference_steps": 4, "strength": 0.6}, {}),
        (SD, {"timesteps": [999, 700, 300], "strength": 1.0}, {}),
        (SD, {"num_inference_steps": 3, "original_inference_steps": 10}, {}),
    ],
    "TCDScheduler": [
        *cases({}, *PREDICTIONS, {"original_inference_steps": 20}, steps=4),
        *((SD, {"num_inference_steps": 5}, {"eta": eta}) for eta in (0.0, 1.0)),
        (SD, {"num_inference_steps": 3, "original_inference_steps": 10}, {}),
    ],
    "CMStochasticIterativeScheduler": [
        *cases({}, {"clip_denoised": False}, {"s_noise": 0.5, "sigma_max": 20.0}, base={}, steps=4),
        ({}, {"timesteps": [30, 12, 0]}, {}),
        ({}, {"num_inference_steps": 1}, {}),
    ],
    "EulerDiscreteScheduler": [
        *cases({}, *SPACINGS, *PREDICTIONS, *BETAS, *WARPS, ZERO, {"interpolation_type": "log_linear"}),
        *cases({"final_sigmas_type": "sigma_min"}, {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 9.0}),
        *cases({"timestep_type": "continuous", "prediction_type": "v_prediction", "use_karras_sigmas": True}),
        (SD, {"timesteps": [900.0, 500.0, 40.0]}, {}),
        (SD, {"sigmas": [9.0, 3.0, 0.5, 0.0]}, {}),
        (SD, {"num_inference_steps": 6}, {"s_churn": 2.0, "s_tmin": 0.1, "s_tmax": 10.0, "s_noise": 1.1}),
    ],
    "EulerAncestralDiscreteScheduler": cases({}, *SPACINGS, *TWO, *BETAS, ZERO),
    "HeunDiscreteScheduler": [
        *cases({}, *SPACINGS, *PREDICTIONS, *BETAS, *WARPS, {"beta_schedule": "exp"}, {"clip_sample": True}),
        (SD, {"timesteps": [900, 500, 40]}, {}),
    ],
    "KDPM2DiscreteScheduler": cases({}, *SPACINGS, *TWO, *BETAS, *WARPS),
    "KDPM2AncestralDiscreteScheduler": cases({}, *SPACINGS, *TWO, *BETAS[:2], *WARPS),
    "LMSDiscreteScheduler": [
        *cases({}, *SPACINGS, *PREDICTIONS, *BETAS, *WARPS),
        (SD, {"num_inference_steps": 6}, {"order": 2}),
    ],
    "DPMSolverMultistepScheduler": [
        *cases({}, *SPACINGS, *PREDICTIONS, *BETAS, *WARPS, ZERO, THRESHOLD, {"use_lu_lambdas": True}, FLOW),
        *(
            ({**SD, "algorithm_type": kind, "solver_type": solver, "solver_order": order, "final_sigmas_type": final},
             {"num_inference_steps": steps}, {})
            for kind, final in (("dpmsolver", "sigma_min"), ("dpmsolver++", "zero"), ("sde-dpmsolver++", "zero"),
                                ("sde-dpmsolver", "sigma_min"))
            for solver in ("midpoint", "heun")
            for order in (1, 2, 3)
            for steps in (6, 16)
            if (kind, order) != ("sde-dpmsolver", 3)
        ),
        *cases({"euler_at_final": True}, {"lower_order_final": False}, {"lambda_min_clipped": -5.1}, steps=16),
        *cases({"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}),
        *cases({**NOISE, "prediction_type": "v_prediction"}, {**NOISE, "prediction_type": "sample", **THRESHOLD}),
        (SD, {"timesteps": [999, 500, 40]}, {}),
        ({**FLOW, **SHIFT}, MU, {}),
    ],
    "DPMSolverSinglestepScheduler": [
        *cases({}, *PREDICTIONS, *BETAS, *WARPS, THRESHOLD, FLOW, {"lambda_min_clipped": -5.1}),
        *(
            ({**SD, "algorithm_type": kind, "solver_type": solver, "solver_order": order, "lower_order_final": True,
              "final_sigmas_type": final}, {"num_inference_steps": steps}, {})
            for kind, final in (("dpmsolver", "sigma_min"), ("dpmsolver++", "zero"), ("dpmsolver++", "sigma_min"),
                                ("sde-dpmsolver++", "zero"))
            for solver in ("midpoint", "heun")
            for order in (1, 2, 3)
            for steps in (6, 7, 8)
        ),
        *cases({"final_sigmas_type": "sigma_min", "lower_order_final": False}, steps=6),
        (SD, {"timesteps": [999, 700, 500, 40]}, {}),
    ],
    "DEISMultistepScheduler": cases(
        {}, *SPACINGS, *PREDICTIONS, *BETAS, *WARPS, FLOW, THRESHOLD, {"solver_order": 1}, {"solver_order": 3},
        {"solver_order": 3, "lower_order_final": False},
    ),
    "UniPCMultistepScheduler": [
        *cases({}, *SPACINGS, *PREDICTIONS, *BETAS, *WARPS, ZERO, THRESHOLD, FLOW, {"final_sigmas_type": "sigma_min"}),
        *cases(*({"solver_order": order, "solver_type": kind, "predict_x0": clean,
                  "final_sigmas_type": "sigma_min"}
                 for order in (1, 2, 3, 4) for kind in ("bh1", "bh2") for clean in (True, False)), steps=9),
        *cases({"disable_corrector": [1, 3]}, {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"}),
        *cases({**FLOW, "shift_terminal": 0.02}, {**FLOW, "use_karras_sigmas": True}),
        ({**SD, **FLOW}, {"sigmas": [1.0, 0.7, 0.3]}, {}),
        ({**SD, **FLOW, **SHIFT}, MU, {}),
    ],
    "FlowMatchEulerDiscreteScheduler": [
        *cases({}, {"shift": 3.0}, {"shift_terminal": 0.1}, {"invert_sigmas": True}, *WARPS, base={}),
        *cases({"stochastic_sampling": True}, base={}),
        *(({**SHIFT, "time_shift_type": kind}, MU, {}) for kind in ("exponential", "linear")),
        ({}, {"sigmas": [1.0, 0.6, 0.2]}, {}),
        ({"shift": 2.0}, {"timesteps": [900.0, 600.0, 100.0]}, {}),
    ],
    "FlowMatchHeunDiscreteScheduler": [
        *cases({}, {"shift": 3.0}, base={}),
        ({}, {"num_inference_steps": 6}, {"s_churn": 2.0, "s_noise": 1.1}),
    ],
}  # fmt: skip


def model(sample: Any, timestep: Any) -> Any:
    """A model without weights: smooth, and different at each timestep."""
    level = float(timestep) / 1000
    return 0.6 * sample.tanh() + 0.2 * (3 * sample + level).sin() + 0.1 * level


def trajectory(package: Any, name: str, case: Case) -> dict[str, Any]:
    """Follow a whole schedule from noise; begin it in its middle; add noise."""
    import numpy
    import torch

    config, schedule, extra = case
    # UniPC of the peer takes no list here
    schedule = {name: numpy.array(value) if name == "sigmas" else value for name, value in schedule.items()}
    scheduler = getattr(package, name)(**config)
    if schedule:
        scheduler.set_timesteps(**schedule)
    timesteps = scheduler.timesteps if schedule else scheduler.timesteps[:3]
    clean = torch.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    sigma = float(getattr(scheduler, "init_noise_sigma", 1.0))
    found: dict[str, Any] = {"timesteps": timesteps.double().tolist(), "sigma": sigma}
    if hasattr(scheduler, "sigmas"):
        found["sigmas"] = scheduler.sigmas.double().tolist()
    takes = inspect.signature(scheduler.step).parameters

    def follow(sample: Any, visited: Any) -> tuple[list[Any], Any]:
        passed = {"generator": torch.Generator().manual_seed(0)} if "generator" in takes else {}
        means: list[Any] = []
        for t in visited:
            given = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
            output = model(given, t)
            if config.get("variance_type") in ("learned", "learned_range") and name == "DDPMScheduler":
                output = torch.cat(
                    [output, 0.3 * output + (0.5 if config["variance_type"] == "learned" else 0)], dim=1
                ).abs()
            sample = scheduler.step(output, t, sample, **passed, **extra).prev_sample
            means.append([sample.double().mean().item(), sample.double().std().item()])
        return means, sample

    found["path"], last = follow(noise * sigma, timesteps)
    found["last"] = last.flatten().double().tolist()
    if hasattr(scheduler, "add_noise"):
        noisy = scheduler.add_noise(clean, noise, timesteps[:1].repeat(2))
        found["noisy"] = noisy.flatten().double().tolist()
    if schedule and hasattr(scheduler, "set_begin_index") and name not in ("LCMScheduler", "TCDScheduler"):
        scheduler.set_timesteps(**schedule)
        begin = 2 if scheduler.order == 2 else 1
        scheduler.set_begin_index(begin)
        found["middle"] = follow(noise, scheduler.timesteps[begin:])[1].flatten().double().tolist()
    return found


def everything(package: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, listed in CASES.items():
        kind = getattr(package, name)
        parameters = inspect.signature(kind).parameters.items()
        made[name] = {
            "fields": [[field, repr(found.default)] for field, found in parameters if field != "kwargs"],
            "order": kind.order,
            "compatibles": sorted(kind._compatibles),
            "file": json.loads(kind(**listed[0][0]).to_json_string()),
            "paths": [trajectory(package, name, case) for case in listed],
        }
    return made
