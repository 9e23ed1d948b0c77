# %% [markdown]
# # 1. 字节在哪里，时间在哪里？
#
# 压缩之前，先看一看。网络把字节放在哪里，把运算花在哪里，是两个不同的地方，而多数人两个都猜错。
#
# 学习方法：每一节都会在测量**之前**先问你。说出你的想法，再运行单元格。猜错没有损失，它让你发现自己原来相信什么。每个数字都是此时此刻在你的机器上测得的。

# %% setup
import workbench as wb
from workbench import lessons

subject = wb.load("digits-resnet")

# %%
from widgets.lesson import CourseNotebook

lesson = CourseNotebook("where", "zh")
session = wb.Session(subject, wb.Settings(seconds=0.5, runtimes=("eager", "onnxruntime")))
layers = {layer.name: layer for layer in session.layers}

# %% [markdown]
# `digits-resnet` 是一个分三个阶段的残差网络。每进入下一个阶段，图像的高和宽减半，通道数加倍：16、32、64。
#
# ## 字节

# %%
lesson.predict("bytes")


# %%
def stage(name: str, fact: str) -> int:
    return sum(getattr(layer, fact) for key, layer in layers.items() if key.startswith(name))


stages = ("layer1", "layer2", "layer3")
whole = sum(layer.params for layer in layers.values())
lesson.reveal(
    "bytes",
    lessons.counted(100 * stage("layer3", "params") / whole, f"{stage('layer3', 'params') / whole:.0%}"),
    third=lessons.counted(100 / 3),
)

# %% [markdown]
# ## 运算量
#
# 一次乘加（MAC）是一个乘积加到一个和上。网络的运算几乎全部由它组成。

# %%
lesson.predict("macs")

# %%
for name in stages:
    print(f"{name}: {stage(name, 'params'):>8,} weights, {stage(name, 'macs'):>11,} MACs")
lesson.reveal("macs", {name: lessons.counted(stage(name, "macs"), f"{stage(name, 'macs'):,}") for name in stages})

# %% [markdown]
# ### 轮到你了：`conv_costs`
#
# **思路。** 卷积对每一对输入和输出通道都有 kernel × kernel 个权重。每个权重在输出的每个位置各用一次。


# %% solution id=conv_costs
def conv_costs(inputs: int, outputs: int, kernel: int, side: int) -> tuple[int, int]:
    """Return the weights and the multiply-accumulates of a convolution without bias.

    Args:
        inputs: Channels that enter.
        outputs: Channels that leave.
        kernel: Side of the kernel.
        side: Of the output, which is square.
    """
    ### BEGIN SOLUTION
    weights = inputs * outputs * kernel**2
    return weights, weights * side**2
    ### END SOLUTION


# %% test id=conv_costs points=3
lessons.expect(
    conv_costs(16, 32, 3, 10),
    (4608, 460800),
    {
        "a kernel of side 3 has 9 places": (1536, 153600),
        "an output of side 10 has 100 places": (4608, 46080),
        "every output channel has a kernel for *each* input channel": (288, 28800),
    },
    what="conv_costs(16, 32, 3, 10)",
)
### BEGIN HIDDEN TESTS
lessons.expect(conv_costs(64, 64, 3, 8), (36864, 2359296), what="conv_costs(64, 64, 3, 8)")
lessons.expect(conv_costs(1, 16, 3, 32), (144, 147456), what="conv_costs(1, 16, 3, 32)")
### END HIDDEN TESTS


# %% wrong id=conv_costs says="100 places"
def conv_costs(inputs, outputs, kernel, side):
    weights = inputs * outputs * kernel**2
    return weights, weights * side


# %% wrong id=conv_costs says="9 places"
def conv_costs(inputs, outputs, kernel, side):
    return inputs * outputs * kernel, inputs * outputs * kernel * side**2


# %%
print(
    "stage 1:", conv_costs(16, 16, 3, 32), " stage 2:", conv_costs(32, 32, 3, 16), " stage 3:", conv_costs(64, 64, 3, 8)
)

# %% [markdown]
# 两侧的通道数都加倍，权重变为四倍；高和宽减半，位置变为四分之一。乘积不变。
#
# ## 时间

# %%
lesson.predict("runtimes")

# %%
base = session.baseline
eager, compiled = base.latency["eager"].median, base.latency["onnxruntime"].median
print(f"eager PyTorch {1000 * eager:.2f} ms, ONNX Runtime {1000 * compiled:.2f} ms, {base.macs:,} MACs")
reach = max(one.spread / one.median for one in base.latency.values())
times = eager / compiled
lesson.reveal(
    "runtimes",
    lessons.Measured(
        times, times / (1 + reach), times * (1 + reach), f"{times:.1f} × (half of all runs within {reach:.0%})"
    ),
)

# %% [markdown]
# ## 文件

# %%
lesson.predict("file")

# %%
expected = 4 * base.params
extra = 100 * (base.bytes.total - expected) / expected
print(f"{base.params:,} parameters of 4 bytes are {expected:,}; the file has {base.bytes.total:,} bytes")
lesson.reveal("file", lessons.counted(extra, f"{extra:.1f} % more"))

# %% [markdown]
# ## 另一个网络
#
# `digits-transformer` 做同样的工作。*它的*字节在哪里？看看各层，找出四种类型。

# %%
for layer in wb.Session(wb.load("digits-transformer"), autosave=None).layers:
    print(f"{layer.name:26} {layer.kind:8} {layer.params:>7,} weights {layer.macs:>9,} MACs")

# %% [markdown]
# ## 弄坏它
#
# 找出一种卷积形状的改变，使权重加倍而运算量不变。再找一种相反的。哪一种让文件更小，哪一种让网络更快？
#
# ## 现在你知道了
#
# 字节在通道多的地方，运算量在位置也多的地方。时间则两者都不是：同样的运算量，逐个算子执行要花几倍的时间。所以先说清楚要减小的是什么。
#
# 在[面板](../../workbench.ipynb)中：上方的一排数字，以及按*字节*、*MACs*、*时间*着色的模型图。

# %%
session.close()
