"""Nets of torchvision: classification, segmentation and detection, small where their builders let them be."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import detection, segmentation

from tests.coverage.net import Net, images

CLASSES = 10


def _named(name: str, **options: Any) -> Any:
    return partial(getattr(models, name), weights=None, num_classes=CLASSES, **options)


def vgg() -> nn.Module:
    """Return a VGG with a batch norm, and a classifier as narrow as its features."""
    from torchvision.models.vgg import VGG, make_layers

    model = VGG(make_layers([16, "M", 32, "M", 48, 48, "M"], batch_norm=True), num_classes=CLASSES, init_weights=False)
    model.classifier = nn.Sequential(
        nn.Linear(48 * 49, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 64), nn.ReLU(True), nn.Dropout(),
        nn.Linear(64, CLASSES),
    )  # fmt: skip
    return model


def resnet() -> nn.Module:
    """Return a ResNet of bottlenecks, one a stage."""
    return models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=CLASSES, groups=4, width_per_group=4)


def densenet() -> nn.Module:
    """Return a DenseNet of three blocks."""
    return models.DenseNet(8, (3, 3, 3), 16, num_classes=CLASSES)


def vit() -> nn.Module:
    """Return a vision transformer of two blocks."""
    return models.VisionTransformer(32, 8, 2, 4, 48, 96, num_classes=CLASSES)


def swin(version: str) -> nn.Module:
    """Return a Swin transformer of two stages."""
    from torchvision.models import swin_transformer as swin

    block = swin.SwinTransformerBlock if version == "1" else swin.SwinTransformerBlockV2
    merging = swin.PatchMerging if version == "1" else swin.PatchMergingV2
    return models.SwinTransformer(
        [2, 2], 24, [2, 2], [2, 4], [4, 4], stochastic_depth_prob=0.0, num_classes=CLASSES, block=block,
        downsample_layer=merging,
    )  # fmt: skip


def maxvit() -> nn.Module:
    """Return a MaxViT of two stages."""
    return models.MaxVit(
        (64, 64), 16, 4, [16, 32], [1, 1], 8, 0.0, num_classes=CLASSES, norm_layer=None, attention_dropout=0.0
    )


def convnext() -> nn.Module:
    """Return a ConvNeXt of two stages."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 2)], num_classes=CLASSES)


def efficientnet() -> nn.Module:
    """Return the smallest EfficientNet, at half of its width."""
    from torchvision.models.efficientnet import EfficientNet, _efficientnet_conf

    settings, last = _efficientnet_conf("efficientnet_b0", width_mult=0.5, depth_mult=0.5)
    return EfficientNet(settings, 0.2, num_classes=CLASSES, last_channel=last)


class Googlenet(nn.Module):
    """Its inception blocks without what it does with pictures; it has two more outputs only in training."""

    def __init__(self) -> None:
        super().__init__()
        self.net = models.GoogLeNet(num_classes=CLASSES, aux_logits=False, init_weights=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class HeadsOfDetector(nn.Module):
    """A detector up to what its post-processing takes: classes and boxes of all anchors."""

    def __init__(self) -> None:
        super().__init__()
        made = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5)
        self.backbone, self.head = made.backbone, made.head

    def forward(self, x: Tensor) -> Tensor:
        found = self.head(list(self.backbone(x).values()))
        return torch.cat([found["cls_logits"], found["bbox_regression"]], -1)


class Pyramid(nn.Module):
    """RetinaNet's pyramid and heads over a small ResNet."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
        from torchvision.models.detection.retinanet import RetinaNetHead

        base = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], width_per_group=64)
        self.backbone = _resnet_fpn_extractor(base, 5, returned_layers=[2, 3, 4])
        self.head = RetinaNetHead(256, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        found = self.head(list(self.backbone(x).values()))
        return torch.cat([found["cls_logits"], found["bbox_regression"]], -1)


def fcn() -> nn.Module:
    """Return an FCN over a ResNet of one block a stage."""
    base = models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True])
    return segmentation.fcn._fcn_resnet(base, 6, None)


def deeplab() -> nn.Module:
    """Return a DeepLab over MobileNetV3."""
    return segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=6)


def lraspp() -> nn.Module:
    """Return an LR-ASPP over MobileNetV3."""
    return segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=6)


def _net(name: str, build: Any, size: int = 32, **options: Any) -> Net:
    return Net(name, "torchvision", build, images(size), **options)


NETS: tuple[Net, ...] = (
    _net("vgg", vgg, residual=False),
    _net("resnet18", _named("resnet18")),
    _net("resnext", resnet, residual=False),
    _net("mobilenet_v2", _named("mobilenet_v2", width_mult=0.5)),
    _net("mobilenet_v3_small", _named("mobilenet_v3_small")),
    _net("efficientnet", efficientnet),
    _net("densenet", densenet, residual=False),
    _net("shufflenet_v2", _named("shufflenet_v2_x0_5"), residual=False),
    _net("squeezenet", _named("squeezenet1_1"), 48, residual=False),
    _net("googlenet", Googlenet, residual=False),
    _net("mnasnet", _named("mnasnet0_5")),
    _net("regnet_y", _named("regnet_y_400mf")),
    _net("convnext", convnext),
    _net("vit", vit, heads=True),
    _net("swin", lambda: swin("1"), heads=True),
    _net("swin_v2", lambda: swin("2"), heads=True),
    _net("maxvit", maxvit, 64, heads=True),
    Net("fcn", "segmentation", fcn, images(32), output="out", residual=False),
    Net("deeplabv3", "segmentation", deeplab, images(48), output="out"),
    Net("lraspp", "segmentation", lraspp, images(48), output="out"),
    Net("ssdlite", "detection", HeadsOfDetector, images(64), classes=None),
    Net("retinanet", "detection", Pyramid, images(64), classes=None, residual=False),
)
