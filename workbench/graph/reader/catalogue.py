"""The list of operators that a program may call: those that compute a result from their arguments and do nothing else.

Each is named in full, overload included. None of them reads or writes files, draws random numbers, writes into its
arguments (but for those under `WRITES`), or hands out memory that nobody has written to.
"""

from __future__ import annotations

ELEMENTWISE = """
abs.default acos.default acosh.default add.Scalar add.Tensor addcdiv.default addcmul.default asin.default asinh.default
atan.default atan2.default atanh.default bitwise_and.Scalar bitwise_and.Tensor bitwise_left_shift.Tensor
bitwise_left_shift.Tensor_Scalar bitwise_not.default bitwise_or.Scalar bitwise_or.Tensor bitwise_right_shift.Tensor
bitwise_right_shift.Tensor_Scalar bitwise_xor.Scalar bitwise_xor.Tensor ceil.default celu.default clamp.Tensor
clamp.default clamp_max.Tensor clamp_max.default clamp_min.Tensor clamp_min.default clip.Tensor clip.default
copysign.Scalar copysign.Tensor cos.default cosh.default deg2rad.default div.Scalar div.Scalar_mode div.Tensor
div.Tensor_mode divide.Scalar divide.Tensor elu.default eq.Scalar eq.Tensor erf.default erfc.default erfinv.default
exp.default exp2.default expm1.default fill.Scalar fill.Tensor fix.default float_power.Tensor_Scalar floor.default
floor_divide.Scalar floor_divide.default fmax.default fmin.default fmod.Scalar fmod.Tensor frac.default ge.Scalar
ge.Tensor gelu.default greater.Scalar greater.Tensor greater_equal.Scalar greater_equal.Tensor gt.Scalar gt.Tensor
hardshrink.default hardsigmoid.default hardswish.default hardtanh.default heaviside.default hypot.default
isclose.default isfinite.default isinf.default isnan.default isneginf.default isposinf.default le.Scalar le.Tensor
leaky_relu.default lerp.Scalar lerp.Tensor less.Scalar less.Tensor less_equal.Scalar less_equal.Tensor lgamma.default
log.default log10.default log1p.default log2.default log_sigmoid.default logaddexp.default logaddexp2.default
logical_and.default logical_not.default logical_or.default logical_xor.default logit.default lt.Scalar lt.Tensor
masked_fill.Scalar masked_fill.Tensor maximum.default max.other min.other minimum.default mish.default mul.Scalar
mul.Tensor multiply.Scalar multiply.Tensor nan_to_num.default ne.Scalar ne.Tensor neg.default negative.default
not_equal.Scalar not_equal.Tensor positive.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor prelu.default
rad2deg.default reciprocal.default relu.default relu6.default remainder.Scalar remainder.Scalar_Tensor remainder.Tensor
round.decimals round.default rrelu.default rsqrt.default rsub.Scalar rsub.Tensor selu.default sgn.default
sigmoid.default sign.default silu.default sin.default sinc.default sinh.default softplus.default softshrink.default
sqrt.default square.default sub.Scalar sub.Tensor subtract.Scalar subtract.Tensor tan.default tanh.default
threshold.default true_divide.Scalar true_divide.Tensor trunc.default where.Scalar
where.ScalarOther where.ScalarSelf where.self xlogy.Scalar_Other xlogy.Tensor zero.default copy.default __and__.Scalar
__and__.Tensor __or__.Scalar __or__.Tensor __xor__.Scalar __xor__.Tensor
signbit.default special_erf.default special_expit.default special_log1p.default special_logit.default
"""
PRODUCTS = """
addbmm.default addmm.default addmv.default addr.default baddbmm.default bilinear.default bmm.default cdist.default
chain_matmul.default cosine_similarity.default cross.default dot.default einsum.default inner.default kron.default
linalg_cross.default linalg_norm.default linalg_vector_norm.default linear.default matmul.default mm.default mv.default
outer.default pairwise_distance.default scaled_dot_product_attention.default tensordot.default vdot.default
"""
FOURIER = """
angle.default complex.default conj.default conj_physical.default fft_fft.default fft_fft2.default fft_fftn.default
fft_fftshift.default fft_ifft.default fft_ifft2.default fft_ifftn.default fft_ifftshift.default fft_irfft.default
fft_irfft2.default fft_irfftn.default fft_rfft.default fft_rfft2.default fft_rfftn.default imag.default polar.default
real.default resolve_conj.default resolve_neg.default view_as_complex.default view_as_real.default
"""
LAYERS = """
_adaptive_avg_pool2d.default _adaptive_avg_pool3d.default _convolution.default _log_softmax.default
_safe_softmax.default _softmax.default adaptive_avg_pool1d.default
adaptive_avg_pool2d.default adaptive_avg_pool3d.default adaptive_max_pool1d.default adaptive_max_pool2d.default
adaptive_max_pool3d.default alpha_dropout.default avg_pool1d.default avg_pool2d.default avg_pool3d.default
batch_norm.default channel_shuffle.default constant_pad_nd.default conv1d.default conv1d.padding conv2d.default
conv2d.padding conv3d.default conv3d.padding conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input
convolution.default dropout.default embedding.default feature_alpha_dropout.default feature_dropout.default glu.default
grid_sampler.default grid_sampler_2d.default group_norm.default gru.input gru_cell.default im2col.default
instance_norm.default layer_norm.default log_softmax.int lstm.input lstm_cell.default max_pool1d.default
max_pool2d.default max_pool2d_with_indices.default max_pool3d.default pad.default
pixel_shuffle.default pixel_unshuffle.default reflection_pad1d.default reflection_pad2d.default
reflection_pad3d.default replication_pad1d.default replication_pad2d.default replication_pad3d.default
rms_norm.default rnn_relu.input rnn_relu_cell.default
rnn_tanh.input rnn_tanh_cell.default softmax.int upsample_bicubic2d.default upsample_bicubic2d.vec
upsample_bilinear2d.default upsample_bilinear2d.vec upsample_linear1d.default upsample_linear1d.vec
upsample_nearest1d.default upsample_nearest1d.vec upsample_nearest2d.default upsample_nearest2d.vec
upsample_nearest3d.default upsample_nearest3d.vec upsample_trilinear3d.default upsample_trilinear3d.vec
_upsample_bicubic2d_aa.default _upsample_bicubic2d_aa.vec _upsample_bilinear2d_aa.default _upsample_bilinear2d_aa.vec
_upsample_nearest_exact1d.vec _upsample_nearest_exact2d.default _upsample_nearest_exact2d.vec
affine_grid_generator.default _weight_norm.default _weight_norm_interface.default
"""
REDUCTIONS = """
all.default all.dim any.default any.dim amax.default amin.default aminmax.default argmax.default argmin.default
argsort.default argsort.stable count_nonzero.default count_nonzero.dim_IntList cummax.default cummin.default
cumprod.default cumsum.default logcumsumexp.default logsumexp.default max.default max.dim mean.default mean.dim
median.default median.dim min.default min.dim mode.default nanmean.default nansum.default norm.Scalar norm.ScalarOpt_dim
prod.default prod.dim_int sort.default sort.stable std.correction std.default std.dim std_mean.correction sum.default
sum.dim_IntList topk.default kthvalue.default trace.default var.correction var.default var.dim var_mean.correction
diff.default dist.default
"""
SHAPES = """
_reshape_copy.default _shape_as_tensor.default _to_copy.default _unsafe_view.default
adjoint.default alias.default atleast_1d.default atleast_2d.default atleast_3d.default broadcast_tensors.default
broadcast_to.default cat.default chunk.default clone.default column_stack.default concat.default concatenate.default
contiguous.default detach.default detach_.default diag.default diag_embed.default diagonal.default dstack.default
expand.default expand_as.default expand_copy.default flatten.using_ints flip.default fliplr.default flipud.default
gather.default hsplit.int hstack.default index.Tensor index_add.default index_copy.default index_fill.int_Scalar
index_fill.int_Tensor index_put.default index_select.default lift_fresh.default lift_fresh_copy.default
mH.default mT.default masked_scatter.default matrix_H.default meshgrid.default meshgrid.indexing moveaxis.int
moveaxis.intlist movedim.int movedim.intlist
narrow.default narrow_copy.default numpy_T.default permute.default permute_copy.default ravel.default repeat.default
repeat_interleave.self_int reshape.default reshape_as.default roll.default rot90.default scatter.reduce scatter.src
scatter.value scatter_add.default scatter_reduce.two select.int select_copy.int select_scatter.default slice.Tensor
slice_copy.Tensor slice_scatter.default split.Tensor split.sizes split_with_sizes.default squeeze.default squeeze.dim
squeeze.dims stack.default swapaxes.default swapdims.default t.default take.default take_along_dim.default
tensor_split.indices tensor_split.sections tile.default to.device to.dtype to.dtype_layout to.other transpose.int
tril.default triu.default type_as.default unbind.int unflatten.int unfold.default unsafe_chunk.default
unsafe_split.Tensor unsafe_split_with_sizes.default unsqueeze.default view.default view_as.default vsplit.int
vstack.default bucketize.Scalar bucketize.Tensor isin.Tensor_Tensor isin.Tensor_Scalar one_hot.default
searchsorted.Tensor
native_channel_shuffle.default
"""
CONSTANTS = """
arange.default arange.start arange.start_step empty.memory_format eye.default eye.m full.default linspace.default
logspace.default ones.default scalar_tensor.default tril_indices.default triu_indices.default zeros.default
"""
CONSTANTS_LIKE = """
empty_like.default full_like.default new_empty.default new_full.default new_ones.default new_zeros.default
ones_like.default zeros_like.default
"""
SIZES = "sym_size.int sym_numel.default"
# Written into their first argument; each is run by its pure form wherever nothing else looks at that memory.
WRITES = """
abs_.default add_.Scalar add_.Tensor addcdiv_.default addcmul_.default addmm_.default alpha_dropout_.default
baddbmm_.default bitwise_and_.Tensor bitwise_not_.default bitwise_or_.Tensor ceil_.default celu_.default
clamp_.Tensor clamp_.default clamp_max_.default clamp_min_.default clip_.default copy_.default cos_.default
cumsum_.default div_.Scalar div_.Tensor div_.Tensor_mode dropout_.default elu_.default eq_.Scalar eq_.Tensor
erf_.default exp_.default feature_dropout_.default fill_.Scalar fill_.Tensor floor_.default floor_divide_.Scalar
floor_divide_.Tensor ge_.Scalar gelu_.default gt_.Scalar hardsigmoid_.default hardswish_.default hardtanh_.default
index_add_.default index_copy_.default index_fill_.int_Scalar index_put_.default le_.Scalar leaky_relu_.default
lerp_.Scalar lerp_.Tensor log_.default logical_and_.default logical_not_.default logical_or_.default lt_.Scalar
masked_fill_.Scalar masked_fill_.Tensor masked_scatter_.default mish_.default mul_.Scalar mul_.Tensor
nan_to_num_.default ne_.Scalar neg_.default pow_.Scalar pow_.Tensor reciprocal_.default relu6_.default relu_.default
remainder_.Scalar
remainder_.Tensor round_.default rrelu_.default rsqrt_.default scatter_.src scatter_.value scatter_add_.default
selu_.default sigmoid_.default silu_.default sin_.default sqrt_.default square_.default sub_.Scalar sub_.Tensor
tanh_.default threshold_.default tril_.default triu_.default trunc_.default zero_.default
"""
PURE = " ".join((ELEMENTWISE, PRODUCTS, FOURIER, LAYERS, REDUCTIONS, SHAPES, CONSTANTS, CONSTANTS_LIKE, SIZES))
# Sizes and types are looked at while a graph is traced, and have no effect in one that was.
DROPPED = frozenset(
    f"torch.ops.aten.{name}"
    for name in (
        "_assert_async.default", "_assert_async.msg", "_assert_scalar.default", "_assert_tensor_metadata.default",
        "sym_constrain_range.default", "sym_constrain_range_for_size.default",
    )
)  # fmt: skip
PURE_FORMS = {  # where the name without its underscore is not the pure form
    "floor_divide_.Tensor": "floor_divide.default", "pow_.Scalar": "pow.Tensor_Scalar",
    "pow_.Tensor": "pow.Tensor_Tensor",
}  # fmt: skip
# Memory that nobody has written to may hold anything, so it is zeros here; and nothing is detached in place.
FILLED = {
    "empty.memory_format": "zeros.default", "empty_like.default": "zeros_like.default",
    "new_empty.default": "new_zeros.default", "detach_.default": "detach.default",
}  # fmt: skip
# Besides those whose schema says so: what may hand out the memory of an argument.
MAY_ALIAS = """
_reshape_copy _to_copy _unsafe_view _weight_norm alpha_dropout atleast_1d atleast_2d atleast_3d broadcast_tensors
channel_shuffle clamp clip column_stack conj diag dropout dstack einsum expand_copy feature_alpha_dropout
feature_dropout fft_fftshift fft_ifftshift flip fliplr flipud hstack imag lift_fresh meshgrid
native_channel_shuffle pad real repeat reshape_as resolve_conj resolve_neg rot90
take_along_dim tensordot tile to type_as unsafe_chunk unsafe_split unsafe_split_with_sizes vstack
"""
