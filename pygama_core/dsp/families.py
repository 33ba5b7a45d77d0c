"""Which module of the package holds which processor; a module is imported when one of them is used."""

from __future__ import annotations

# family (module of pygama_core.dsp.processors) -> its processors
FAMILIES: dict[str, tuple[str, ...]] = {
    "align": ("get", "get_default", "get_wf_centroid", "inl_correction", "pad", "wf_alignment", "wf_correction"),
    "baseline": (
        "bl_subtract",
        "linear_slope_diff",
        "linear_slope_fit",
        "log_check",
        "mean_below_threshold",
        "median",
        "min_max",
        "saturation",
        "time_over_threshold",
    ),
    "convolution": ("convolve_wf", "gaussian_filter1d", "reflected_convolve_wf", "t0_filter"),
    "elementwise": ("amax", "amin", "convert", "convert_type", "where"),
    "energy_kernels": ("cusp_filter", "dplms", "moving_slope", "step", "zac_filter"),
    "histogram": ("histogram", "histogram_around_mode", "histogram_peakstats", "histogram_stats"),
    "injection": ("inject_exp_pulse", "inject_general_logistic", "inject_gumbel", "inject_sig_pulse"),
    "layers": (
        "classification_layer_no_bias",
        "classification_layer_with_bias",
        "dense_layer_no_bias",
        "dense_layer_with_bias",
        "no_result",
        "normalisation_layer",
        "svm_vote",
    ),
    "multi_time": ("multi_t_filter", "multi_time_point_thresh", "remove_duplicates"),
    "optimise": ("optimize_1pz", "optimize_2pz", "optimize_nnls"),
    "peaks": ("get_multi_local_extrema", "multi_a_filter", "peak_snr_threshold"),
    "pileup": ("bi_level_zero_crossing_time_points", "soft_pileup_corr", "soft_pileup_corr_bl"),
    "pole_zero": ("double_pole_zero", "pole_zero"),
    "polynomial": ("poly_diff", "poly_exp_rms", "poly_fit_apply"),
    "recursive": (
        "convolve_damped_oscillator",
        "convolve_exp",
        "filter_from_rest",
        "inject_damped_oscillation",
        "rc_cr2",
        "recursive_filter",
    ),
    "resample": ("interpolating_upsampler",),
    "rounding": ("ceil_to_nearest", "floor_to_nearest", "min_max_norm", "round_to_nearest", "sort", "trunc_to_nearest"),
    "spectrum": ("discrete_wavelet_transform", "fft", "fft_convolve_wf", "ifft", "psd", "scale_spectrum"),
    "time_point": ("fixed_time_pickoff", "interpolated_time_point_thresh", "time_point_thresh"),
    "trapezoid": ("asym_trap_filter", "trap_filter", "trap_norm", "trap_pickoff"),
    "window": (
        "avg_current",
        "moving_window_left",
        "moving_window_multi",
        "moving_window_right",
        "presum",
        "upsampler",
        "windower",
    ),
}
# what the fused engine puts in place of others; not for configurations
REWRITTEN: dict[str, tuple[str, ...]] = {
    "current": ("smoothed_current", "smoothing_weights"),
    "structured": ("flank_convolve",),
    "sums": ("box_of_sums", "convolve_wf_of_sums", "pole_zero_with_sums", "running_sums"),
}
FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}
REWRITTEN_OF = {name: family for family, names in REWRITTEN.items() for name in names}
